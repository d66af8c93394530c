// Command fetch restores a store path from a binary cache, provided that a
// trusted key has signed it or that its content address gives its name:
//
//	go run ./examples/fetch https://cache.nixos.org \
//	    cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY= \
//	    /nix/store/…-hello-2.12.1 ./hello
//
// fetch verifies the contents against the signed hash while it reads them, and
// removes them if they do not match.
package main

import (
	"context"
	"log"
	"os"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: fetch CACHE-URL PUBLIC-KEY STORE-PATH DESTINATION")
	}
	if err := fetch(context.Background(), os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		log.Fatal(err)
	}
}

func fetch(ctx context.Context, cacheURL, publicKey, storePath, dest string) error {
	key, err := narinfo.ParsePublicKey(publicKey)
	if err != nil {
		return err
	}
	cache, err := store.Open(ctx, cacheURL, store.WithTrustedKeys(key))
	if err != nil {
		return err
	}
	defer cache.Close()
	p, err := cache.StoreDir().Parse(storePath)
	if err != nil {
		return err
	}
	return store.Restore(ctx, cache, p, dest)
}
