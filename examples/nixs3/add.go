package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

type addCommand struct {
	To             string   `required:"" placeholder:"URL" help:"Binary cache to add to."`
	Name           string   `help:"Name of the store path; by default the name of the file or folder. Only with one path."`
	FindReferences []string `sep:"none" placeholder:"STORE-PATH" help:"A store path to record as a reference where the contents mention it. Repeat it for more. The cache must have those that are found."`
	signFlag
	rootFlag
	JSON  bool     `name:"json" help:"Print the cache's records of the paths as JSON."`
	Paths []string `arg:"" name:"path" help:"Files, folders or symbolic links to add."`
}

func (addCommand) Help() string {
	return "Computes the content-addressed store path of each PATH as \"nix store add-path\" does, uploads\n" +
		"it unless the cache has it, and prints the store path. A symbolic link is added as a link; use\n" +
		"copy for the store path that a link such as ./result points to.\n\n" +
		"    nixs3 add --to 's3://cache?region=eu-west-1' --sign-with secret-key ./dist\n" +
		"    nixs3 add --to file:///cache --find-references /nix/store/…-hello-1.0 ./script"
}

// Validate is called by kong.
func (c *addCommand) Validate() error {
	if c.Name != "" && len(c.Paths) > 1 {
		return fmt.Errorf("--name: expected one path, got %d", len(c.Paths))
	}
	return nil
}

func (c *addCommand) Run(ctx context.Context, con *console) (err error) {
	signers, err := c.signers(ctx)
	if err != nil {
		return err
	}
	cache, err := openCache(ctx, con, c.To, store.WithSigners(signers...))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	opts := store.AddPathOptions{Name: c.Name}
	for _, name := range c.FindReferences {
		p, err := cache.StoreDir().Parse(name)
		if err != nil {
			return fmt.Errorf("--find-references: %w", err)
		}
		opts.FindReferences = append(opts.FindReferences, p)
	}
	var added []storepath.Path
	opts.Keep = func(ctx context.Context, info *narinfo.NarInfo) error {
		added = append(added, info.Path)
		return c.set(ctx, cache, added)
	}
	for _, path := range c.Paths {
		warnAboutLink(con, cache.StoreDir(), path)
		info, err := store.AddPath(ctx, cache, path, opts)
		if err != nil {
			return err
		}
		if c.JSON {
			err = printRecords(con.stdout, "1", info)
		} else {
			_, err = fmt.Fprintln(con.stdout, info.StoreDir.Join(info.Path))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// warnAboutLink warns of a link into the store, such as ./result: the user
// probably means its target.
func warnAboutLink(con *console, dir storepath.Dir, path string) {
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		return
	}
	if target, ok := followLinks(dir, path); ok {
		con.logger.Warn("adding a symbolic link into the store, not its target; use copy for the target", "link", path, "target", target)
	}
}
