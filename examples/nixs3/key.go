package main

import (
	"context"
	"fmt"
	"io"

	"example.com/nixs3/narinfo"
)

type keyCommands struct {
	Generate keyGenerate `cmd:"" help:"Generate a secret key and print it."`
	Public   keyPublic   `cmd:"" help:"Print the public key of the secret key on standard input."`
}

type keyGenerate struct {
	Name string `arg:"" help:"Name of the key, which is part of its signatures: usually the cache's host name and a number, such as cache.example.org-1."`
}

func (keyGenerate) Help() string {
	return "The key has Nix's format. Only its owner should be able to read it:\n\n" +
		"    (umask 077; nixs3 key generate cache.example.org-1 > secret-key)"
}

func (c *keyGenerate) Run(con *console) error {
	key, err := narinfo.GenerateKey(c.Name, nil)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(con.stdout, key.Reveal())
	return err
}

type keyPublic struct{}

func (keyPublic) Help() string {
	return "    nixs3 key public < secret-key > public-key"
}

// maxKey bounds a secret key in bytes. Nix's format has about 100.
const maxKey = 4096

func (c *keyPublic) Run(ctx context.Context, con *console) error {
	return interruptible(ctx, func() error { return c.run(con) })
}

func (c *keyPublic) run(con *console) error {
	text, err := io.ReadAll(io.LimitReader(con.stdin, maxKey))
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	key, err := narinfo.ParseSecretKey(string(text))
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	_, err = fmt.Fprintln(con.stdout, key.Public())
	return err
}
