// Driver keeps a binary cache in one SQLite file: an own [blob.Bucket], which the
// tests hold to the contract of all drivers, under the cache that the library
// makes over any bucket.
//
//	go run ./examples/driver cache.db ./a-folder
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: driver DATABASE PATH")
	}
	info, err := add(context.Background(), os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Path)
}

// add stores a file or folder in the cache that a database holds.
func add(ctx context.Context, database, path string) (*narinfo.NarInfo, error) {
	b, err := openBucket(database)
	if err != nil {
		return nil, err
	}
	cache, err := store.New(b, store.Settings{})
	if err != nil {
		b.Close()
		return nil, err
	}
	defer cache.Close()
	return store.AddPath(ctx, cache, path, store.AddPathOptions{})
}
