package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"example.com/nixs3/store"
)

type lsCommand struct {
	storeFlag
	listFlags
	Path string `arg:"" help:"Store path, with the path of a file or folder in it behind."`
}

func (lsCommand) Help() string {
	return "    nixs3 ls --store https://cache.example.org jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6/bin"
}

func (c *lsCommand) Run(ctx context.Context, con *console) (err error) {
	cache, err := openCache(ctx, con, c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	p, member, err := findPath(ctx, cache.StoreDir(), cacheByHash(cache), c.Path)
	if err != nil {
		return err
	}
	listing, err := cache.Listing(ctx, p)
	if err != nil {
		return err
	}
	if err := c.print(con.stdout, listing, p.String(), member); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	return nil
}

type catCommand struct {
	storeFlag
	trustFlag
	Path string `arg:"" help:"Store path, with the path of a file in it behind."`
}

func (catCommand) Help() string {
	return "The archive is fetched and verified before anything is printed. With local-nar-cache=… in the\n" +
		"URL it is kept there for the next time.\n\n" +
		"    nixs3 cat --store https://cache.example.org jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6/bin/hello"
}

func (c *catCommand) Run(ctx context.Context, con *console) (err error) {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	cache, err := openCache(ctx, con, c.Store, store.WithTrustedKeys(keys...))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	p, member, err := findPath(ctx, cache.StoreDir(), cacheByHash(cache), c.Path)
	if err != nil {
		return err
	}
	archive, err := cache.FS(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	if err := catFile(con.stdout, archive, member); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	return nil
}

// catFile writes the contents of the regular file with a path in an archive.
func catFile(w io.Writer, archive *store.ArchiveFS, member string) error {
	node := archive.Listing.Lookup(member)
	if node == nil {
		return fmt.Errorf("there is no %q in the NAR", member)
	}
	if err := checkRegular(member, node.Type, node.LinkTarget); err != nil {
		return err
	}
	f, err := archive.Open(cmp.Or(member, "."))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
