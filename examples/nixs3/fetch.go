package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

type fetchCommand struct {
	From string `required:"" placeholder:"URL" help:"Binary cache to fetch from, or local for the Nix store of this machine."`
	trustFlag
	Nar     bool   `xor:"form" help:"Write the NAR to standard output, uncompressed, instead of files."`
	Closure bool   `xor:"form" help:"Fetch the closure of the path into the store below DEST, as DEST/nix/store/…. Existing paths are kept."`
	Path    string `arg:"" help:"Store path: full path, base name or hash part."`
	Dest    string `arg:"" optional:"" help:"File or folder to create. It must not exist, except with --closure."`
}

func (fetchCommand) Help() string {
	return "Verifies the contents against the signed hash, and leaves nothing on a failure. --nar writes while it\n" +
		"reads, so only exit status 0 means that its output was verified.\n\n" +
		"    nixs3 fetch --from https://cache.example.org --trusted-public-keys \"$(cat key.pub)\" PATH ./tool\n" +
		"    nixs3 fetch --from https://cache.example.org --closure PATH ./rootfs"
}

// Validate is called by kong.
func (c *fetchCommand) Validate() error {
	if (c.Dest == "") != c.Nar {
		return fmt.Errorf("expected either DEST or --nar")
	}
	return nil
}

func (c *fetchCommand) Run(ctx context.Context, con *console) error {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	return inStore(ctx, con, c.From, c.Path, func(from *opened, p storepath.Path, member string) error {
		switch {
		case member != "":
			return fmt.Errorf("%q is a file in a store path, expected a store path; cat prints a file", c.Path)
		case c.Nar:
			return writeNAR(ctx, con.stdout, from, p)
		case c.Closure:
			return fetchClosure(ctx, con, from, p, c.Dest)
		}
		return store.Restore(ctx, from.Source, p, c.Dest)
	}, store.WithTrustedKeys(keys...))
}

func writeNAR(ctx context.Context, w io.Writer, from *opened, p storepath.Path) error {
	r, err := from.NAR(ctx, p)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// fetchers is the number of paths of a closure that are restored at a time.
const fetchers = 4

// fetchClosure restores a closure into the store below a folder. A path gets its
// name only once it is complete.
func fetchClosure(ctx context.Context, con *console, from *opened, root storepath.Path, dest string) error {
	paths, err := closure(ctx, from, root)
	if err != nil {
		return err
	}
	dir := filepath.Join(dest, filepath.FromSlash(strings.TrimPrefix(string(from.StoreDir()), "/")))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for p := range paths {
		g.Go(func() error { return fetchInto(gctx, from, p, filepath.Join(dir, p.String())) })
	}
	err = g.Wait()
	if err == nil && !con.quiet {
		fmt.Fprintf(con.stderr, "%d paths in %s\n", len(paths), dir)
	}
	return err
}

// fetchInto restores a path under a name that no store path has, and renames it,
// so that the remains of an interrupted run are not taken for a complete path.
func fetchInto(ctx context.Context, from *opened, p storepath.Path, name string) error {
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part := filepath.Join(filepath.Dir(name), ".part-"+p.String())
	if err := removePart(part); err != nil {
		return err
	}
	if err := store.Restore(ctx, from.Source, p, part, nar.WithStoreMetadata()); err != nil {
		return err
	}
	return renamePart(part, name)
}
