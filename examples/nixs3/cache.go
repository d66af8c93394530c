package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/localstore"
)

// storeFlag names the store that a command reads.
type storeFlag struct {
	Store string `required:"" placeholder:"URL" help:"Binary cache (s3://bucket?…, file:///folder, ./folder or https://host), or local for the Nix store of this machine (also local?root=/mnt)."`
}

// trustFlag makes a command require signatures.
type trustFlag struct {
	TrustedPublicKeys []string `placeholder:"KEY" sep:" " help:"Public keys, one of which must have signed each path whose name does not follow from its content address. Without any, signatures are not checked."`
}

func (f trustFlag) keys() (narinfo.TrustedKeys, error) {
	return narinfo.ParseTrustedKeys(strings.Join(f.TrustedPublicKeys, " "))
}

// signFlag makes a command sign what it writes.
type signFlag struct {
	SignWith []string `placeholder:"KEYFILE" sep:"none" help:"File with a secret key to sign with. May be repeated."`
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
func openCache(ctx context.Context, con *console, url string, opts ...store.Option) (*store.Cache, error) {
	return store.Open(ctx, url, append(opts, store.WithLogger(con.logger))...)
}

// opened is a store opened for reading: a cache or a local store.
type opened struct {
	store.Source
	io.Closer
	cache  *store.Cache      // nil for a local store
	local  *localstore.Store // nil for a cache
	byHash hashFinder
}

// openSource opens a binary cache or a local Nix store.
func openSource(ctx context.Context, con *console, url string, opts ...store.Option) (*opened, error) {
	local, err := localstore.ParseURL(url)
	if errors.Is(err, localstore.ErrNotLocal) || isCacheFolder(url) {
		cache, err := openCache(ctx, con, url, opts...)
		if err != nil {
			return nil, err
		}
		return &opened{Source: cache, Closer: cache, cache: cache, byHash: cacheByHash(cache)}, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := localstore.Open(ctx, local)
	if err != nil {
		return nil, err
	}
	return &opened{Source: s, Closer: s, local: s, byHash: s.PathByHash}, nil
}

// isCacheFolder reports whether a store URL is the name of a folder with a
// binary cache. Nix takes any folder for the root of a local store.
func isCacheFolder(url string) bool {
	dir, _, _ := strings.Cut(url, "?")
	if !strings.Contains(dir, "/") || strings.Contains(dir, "://") {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, layout.CacheInfoKey))
	return err == nil
}

func cacheByHash(cache *store.Cache) hashFinder {
	return func(ctx context.Context, hashPart string) (storepath.Path, error) {
		info, err := cache.NarInfoByHash(ctx, hashPart)
		if err != nil {
			return storepath.Path{}, err
		}
		return info.Path, nil
	}
}
