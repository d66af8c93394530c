package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/localstore"
)

// storeFlag names the cache that a command reads.
type storeFlag struct {
	Store string `required:"" placeholder:"URL" help:"Binary cache: s3://bucket?…, file:///folder or https://host."`
}

// trustFlag makes a command insist on signatures.
type trustFlag struct {
	TrustedPublicKeys []string `placeholder:"KEY" sep:" " help:"Public keys, one of which must have signed a path, unless its content address gives its name. Without any, signatures are not looked at."`
}

func (f trustFlag) keys() (narinfo.TrustedKeys, error) {
	return narinfo.ParseTrustedKeys(strings.Join(f.TrustedPublicKeys, " "))
}

// signFlag makes a command sign what it writes.
type signFlag struct {
	SignWith []string `placeholder:"KEYFILE" sep:"none" help:"File with a secret key to sign with. May be repeated. Paths that are there already stay as they are."`
}

func (f signFlag) signers(ctx context.Context) ([]narinfo.Signer, error) {
	var signers []narinfo.Signer
	err := interruptible(ctx, func() error {
		for _, file := range f.SignWith {
			key, err := narinfo.LoadSecretKey(file)
			if err != nil {
				return err
			}
			signers = append(signers, key)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return signers, nil
}

// openCache opens a cache whose warnings go to the console.
func openCache(ctx context.Context, con *console, url string, opts ...store.Option) (store.BinaryCacheStore, error) {
	return store.Open(ctx, url, append(opts, store.WithLogger(con.logger))...)
}

// source is a store that paths are copied from.
type source struct {
	store.Source
	byHash hashFinder
	close  func() error
}

// openSource opens a binary cache or a local Nix store.
func openSource(ctx context.Context, con *console, url string) (source, error) {
	local, err := localstore.ParseURL(url)
	switch {
	case errors.Is(err, localstore.ErrNotLocal):
		cache, err := openCache(ctx, con, url)
		if err != nil {
			return source{}, err
		}
		return source{cache, cacheByHash(cache), cache.Close}, nil
	case err != nil:
		return source{}, err
	}
	s, err := localstore.Open(ctx, local)
	if err != nil {
		return source{}, err
	}
	return source{s, s.PathByHash, s.Close}, nil
}

// hashFinder finds the store path with a hash part.
type hashFinder func(ctx context.Context, hashPart string) (storepath.Path, error)

func cacheByHash(cache store.BinaryCacheStore) hashFinder {
	return func(ctx context.Context, hashPart string) (storepath.Path, error) {
		info, err := cache.NarInfoByHash(ctx, hashPart)
		if err != nil {
			return storepath.Path{}, err
		}
		return info.Path, nil
	}
}

// findPath returns the store path that an argument means, which may be a full
// path, a base name or a bare hash part, and what is behind it: the path of a
// file in the store object.
func findPath(ctx context.Context, dir storepath.Dir, byHash hashFinder, arg string) (p storepath.Path, member string, err error) {
	if strings.HasPrefix(arg, "/") {
		p, member, err = dir.Split(arg)
		return p, cleanMember(member), err
	}
	base, member, _ := strings.Cut(arg, "/")
	if storepath.CheckHashPart(base) == nil {
		p, err = byHash(ctx, base)
	} else {
		p, err = storepath.ParseBase(base)
	}
	return p, cleanMember(member), err
}

// findPaths is findPath for arguments that mean whole store objects.
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

// selection is the store paths that a command is about.
type selection struct {
	All   bool     `help:"All paths of the cache."`
	Paths []string `arg:"" optional:"" name:"path" help:"Store paths: full paths, base names or hash parts."`
}

// Validate is called by kong.
func (s *selection) Validate() error {
	switch {
	case s.All && len(s.Paths) > 0:
		return fmt.Errorf("--all and %s exclude each other", s.Paths[0])
	case !s.All && len(s.Paths) == 0:
		return fmt.Errorf("expected store paths or --all")
	}
	return nil
}
