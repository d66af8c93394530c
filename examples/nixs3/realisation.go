package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

type realisationCommands struct {
	Get  realisationGet  `cmd:"" help:"Print the realisation of an output of a content-addressed derivation."`
	Put  realisationPut  `cmd:"" help:"Store a realisation, given as JSON on standard input."`
	List realisationList `cmd:"" help:"List the realisations of a cache or local store."`
}

type realisationGet struct {
	Store string `required:"" placeholder:"URL" help:"Binary cache."`
	trustFlag
	ID string `arg:"" name:"id" help:"sha256:<hash>!<output> (Lix, Nix up to 2.34) or <derivation>^<output> (Nix from 2.35)."`
}

func (c *realisationGet) Run(ctx context.Context, con *console) (err error) {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	id, err := narinfo.ParseDrvOutput(c.ID)
	if err != nil {
		return err
	}
	cache, err := openCache(ctx, con, c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	r, err := cache.Realisation(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%s has no realisation of %s", cache, id)
	}
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		if err := keys.VerifyRealisation(r); err != nil {
			return err
		}
	}
	return printJSON(con.stdout, r)
}

type realisationPut struct {
	To string `required:"" placeholder:"URL" help:"Binary cache to store the realisation in."`
	signFlag
}

func (realisationPut) Help() string {
	return "    nix realisation info --json ./result | jq '.[0]' | nixs3 realisation put --to ./cache"
}

// maxRealisation bounds a realisation in bytes. One has a few hundred, or more
// with many dependencies.
const maxRealisation = 1 << 20

func (c *realisationPut) Run(ctx context.Context, con *console) (err error) {
	signers, err := c.signers(ctx)
	if err != nil {
		return err
	}
	var r narinfo.Realisation
	err = interruptible(ctx, func() error {
		text, err := io.ReadAll(io.LimitReader(con.stdin, maxRealisation))
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	cache, err := openCache(ctx, con, c.To, store.WithSigners(signers...))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	return cache.PutRealisation(ctx, &r)
}

type realisationList struct {
	storeFlag
}

func (c *realisationList) Run(ctx context.Context, con *console) (err error) {
	from, err := openSource(ctx, con, c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if from.cache == nil {
		for r, err := range from.local.Realisations(ctx) {
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(con.stdout, r.ID); err != nil {
				return err
			}
		}
		return nil
	}
	for _, prefix := range layout.RealisationPrefixes() {
		for attrs, err := range from.cache.Bucket().List(ctx, blob.ListOptions{Prefix: prefix}) {
			if err != nil {
				return err
			}
			id, err := narinfo.ParseRealisationKey(attrs.Key)
			if err != nil {
				continue // Nix would not read it
			}
			if _, err := fmt.Fprintln(con.stdout, id); err != nil {
				return err
			}
		}
	}
	return nil
}
