package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"example.com/nixs3/narinfo/storepath"
)

// hashFinder finds the store path with a hash part.
type hashFinder func(ctx context.Context, hashPart string) (storepath.Path, error)

// findPath returns the store path of an argument, and the path of a file in the
// store object if the argument names one. The argument may be a full path, a base
// name, a hash part, or a file or symbolic link, such as ./result, that points
// into the store.
func findPath(ctx context.Context, dir storepath.Dir, byHash hashFinder, arg string) (p storepath.Path, member string, err error) {
	if p, member, err = dir.Split(arg); err == nil {
		return p, cleanMember(member), nil
	}
	base, member, _ := strings.Cut(arg, "/")
	if storepath.ValidateHashPart(base) == nil {
		p, err = byHash(ctx, base)
		return p, cleanMember(member), err
	}
	if p, baseErr := storepath.ParseBase(base); baseErr == nil {
		return p, cleanMember(member), nil
	}
	followed, ok := followLinks(dir, arg)
	if !ok {
		if strings.HasPrefix(arg, "/") {
			return p, "", err
		}
		return p, "", fmt.Errorf("%q: expected a store path, its base name or hash part, or a link into %s", arg, dir)
	}
	p, member, err = dir.Split(followed)
	return p, cleanMember(member), err
}

// maxLinks bounds the symbolic links that are followed; Linux has the same bound.
const maxLinks = 40

// followLinks follows the symbolic links in a file's name until it is in the
// store, whose objects need not be on this machine.
func followLinks(dir storepath.Dir, name string) (string, bool) {
	name, err := filepath.Abs(name)
	if err != nil {
		return "", false
	}
	for range maxLinks {
		if _, _, err := dir.Split(name); err == nil {
			return name, true
		}
		next, ok := followFirst(name)
		if !ok {
			return "", false
		}
		name = next
	}
	return "", false
}

// followFirst replaces the first symbolic link in an absolute name.
func followFirst(name string) (string, bool) {
	for i := 1; i <= len(name); i++ {
		if i < len(name) && name[i] != filepath.Separator {
			continue
		}
		target, err := os.Readlink(name[:i])
		if err != nil {
			continue
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(name[:i]), target)
		}
		return filepath.Join(target, name[i:]), true
	}
	return "", false
}

// findPaths is findPath for arguments that name whole store objects.
func findPaths(ctx context.Context, dir storepath.Dir, byHash hashFinder, args []string) ([]storepath.Path, error) {
	var paths []storepath.Path
	for _, arg := range args {
		p, member, err := findPath(ctx, dir, byHash, arg)
		if err != nil {
			return nil, err
		}
		if member != "" {
			return nil, fmt.Errorf("%q is a file in a store path, expected a store path", arg)
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// selection is the store paths that a command works on.
type selection struct {
	All   bool     `help:"All paths."`
	Stdin bool     `help:"Also read paths from standard input, one a line. The list may be empty."`
	Paths []string `arg:"" optional:"" name:"path" help:"Store paths: full paths, base names, hash parts, links such as ./result, or PATH.drv^out and PATH.drv^* for outputs; - is --stdin."`
}

// Validate is called by kong.
func (s *selection) Validate() error {
	if s.All && (len(s.Paths) > 0 || s.Stdin) {
		return fmt.Errorf("expected either --all or paths")
	}
	if !s.All && !s.Stdin && len(s.Paths) == 0 && !emptyHook() {
		return fmt.Errorf("expected store paths, --stdin or --all")
	}
	return nil
}

// emptyHook reports whether the program runs in a post-build hook of Nix without
// paths: an empty unquoted $OUT_PATHS gives no argument.
func emptyHook() bool {
	paths, ok := os.LookupEnv("OUT_PATHS")
	return ok && strings.TrimSpace(paths) == ""
}

// arguments returns the paths of the command line and of standard input. A
// quoted $OUT_PATHS has several paths in one argument.
func (s *selection) arguments(ctx context.Context, con *console) ([]string, error) {
	var args []string
	stdin := s.Stdin
	for _, arg := range s.Paths {
		if arg == "-" {
			stdin = true
			continue
		}
		args = append(args, strings.Fields(arg)...)
	}
	if !stdin {
		return args, nil
	}
	err := interruptible(ctx, func() error {
		lines := bufio.NewScanner(con.stdin)
		for lines.Scan() {
			args = append(args, strings.Fields(lines.Text())...)
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err // args may still be written to
	}
	return args, nil
}

// find returns the selected store paths, possibly none.
func (s *selection) find(ctx context.Context, con *console, from *opened) ([]storepath.Path, error) {
	args, err := s.arguments(ctx, con)
	if err != nil {
		return nil, err
	}
	var paths []storepath.Path
	for _, arg := range args {
		found, ok, err := from.outputs(ctx, arg)
		if !ok {
			found, err = findPaths(ctx, from.StoreDir(), from.byHash, []string{arg})
		}
		if err != nil {
			return nil, err
		}
		paths = append(paths, found...)
	}
	return paths, nil
}
