// Command upload adds a file or folder to a binary cache and prints its store
// path:
//
//	go run ./examples/upload 's3://bucket?region=eu-west-1&secret-key=key.sec' ./dist
//
// The path is that of "nix store add-path". A path that the cache has is not sent
// again.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"example.com/nixs3/store"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: upload CACHE-URL PATH")
	}
	if err := upload(context.Background(), os.Stdout, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func upload(ctx context.Context, out io.Writer, cacheURL, path string) error {
	cache, err := store.Open(ctx, cacheURL)
	if err != nil {
		return err
	}
	defer cache.Close()
	info, err := store.AddPath(ctx, cache, path, store.AddPathOptions{})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, info.StoreDir.Join(info.Path))
	return err
}
