package main

import (
	"context"
	"errors"
	"fmt"

	"example.com/nixs3/store"
)

type addCommand struct {
	To   string `required:"" placeholder:"URL" help:"Binary cache to add to."`
	Name string `help:"Name of the store path; that of the file or folder by default."`
	signFlag
	Path string `arg:"" help:"File, folder or symbolic link to add."`
}

func (addCommand) Help() string {
	return "Computes the content-addressed store path that \"nix store add-path\" gives PATH, uploads\n" +
		"it unless the cache has it, and prints the store path.\n\n" +
		"    nixs3 add --to 's3://cache?region=eu-west-1' --sign-with secret-key ./result"
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
	info, err := store.AddPath(ctx, cache, c.Path, store.AddPathOptions{Name: c.Name})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(con.stdout, info.StoreDir.Join(info.Path))
	return err
}
