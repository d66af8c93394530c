package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/localstore"
)

type lsCommand struct {
	storeFlag
	trustFlag
	listFlags
	Path string `arg:"" help:"Store path, followed by the path of a file or folder in it."`
}

func (lsCommand) Help() string {
	return "    nixs3 ls --store https://cache.example.org jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6/bin"
}

func (c *lsCommand) Run(ctx context.Context, con *console) error {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	return inStore(ctx, con, c.Store, c.Path, func(from *opened, p storepath.Path, member string) error {
		listing, err := from.listing(ctx, p)
		if err != nil {
			return err
		}
		return about(p, c.print(con.stdout, listing, p.String(), member))
	}, store.WithTrustedKeys(keys...))
}

type catCommand struct {
	storeFlag
	trustFlag
	Verified bool   `help:"Fetch and verify the whole archive before printing. Implied by --trusted-public-keys."`
	Path     string `arg:"" help:"Store path, followed by the path of a file in it."`
}

func (catCommand) Help() string {
	return "Fetches only a part of the archive if its listing is stored and it is uncompressed, or zstd with a\n" +
		"seek table. A part cannot be verified; a warning on standard error says so. With local-nar-cache=…\n" +
		"in the URL, the whole archive is kept there for the next time.\n\n" +
		"    nixs3 cat --store https://cache.example.org jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6/bin/hello"
}

func (c *catCommand) Run(ctx context.Context, con *console) error {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	return inStore(ctx, con, c.Store, c.Path, func(from *opened, p storepath.Path, member string) error {
		if from.local != nil {
			return about(p, catLocal(ctx, con.stdout, from.local, p, member))
		}
		openFS := from.cache.UnverifiedFS
		if c.Verified || len(keys) > 0 {
			openFS = from.cache.FS
		}
		archive, err := openFS(ctx, p)
		if err != nil {
			return err
		}
		if !archive.Verified {
			con.logger.Warn("not verified: only a part of the archive was fetched; see --verified", "path", p.String())
		}
		return errors.Join(about(p, catFile(con.stdout, archive, member)), archive.Close())
	}, store.WithTrustedKeys(keys...))
}

// inStore opens a store and calls do with a path in it.
func inStore(ctx context.Context, con *console, url, path string, do func(from *opened, p storepath.Path, member string) error, opts ...store.Option) (err error) {
	from, err := openSource(ctx, con, url, opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	p, member, err := findPath(ctx, from.StoreDir(), from.byHash, path)
	if err != nil {
		return err
	}
	return do(from, p, member)
}

// listing returns the files of a store path.
func (o *opened) listing(ctx context.Context, p storepath.Path) (*nar.Listing, error) {
	if o.cache != nil {
		return o.cache.Listing(ctx, p)
	}
	r, err := o.NAR(ctx, p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return nar.List(r)
}

// catLocal writes a file of a local store.
func catLocal(ctx context.Context, w io.Writer, local *localstore.Store, p storepath.Path, member string) error {
	r, err := local.NAR(ctx, p)
	if err != nil {
		return err
	}
	defer r.Close()
	return catMember(w, r, member)
}

// about names the path in an error about it, unless the error does.
func about(p storepath.Path, err error) error {
	if err == nil || strings.Contains(err.Error(), p.String()) {
		return err
	}
	return fmt.Errorf("%s: %w", p, err)
}

// catFile writes the contents of the regular file at a path in an archive.
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
	// Large pieces, since each may be a request.
	buf := make([]byte, min(max(node.Size, 1), 4<<20))
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{f}, buf)
	return err
}
