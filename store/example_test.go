package store_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/storetest/fakes3"
)

// publish adds a file or folder to a cache, signed, and returns its store path.
func publish(ctx context.Context, cacheURL string, key narinfo.Signer, path string) (string, error) {
	cache, err := store.Open(ctx, cacheURL, store.WithSigners(key))
	if err != nil {
		return "", err
	}
	defer cache.Close()
	info, err := store.AddPath(ctx, cache, path, store.AddPathOptions{})
	if err != nil {
		return "", err
	}
	return info.StoreDir.Join(info.Path), nil
}

// fetch makes a store path of a cache at dest, if one of the keys has signed it
// or its name is made of its contents, as that of what publish adds.
func fetch(ctx context.Context, cacheURL, storePath, dest string, keys ...narinfo.PublicKey) error {
	cache, err := store.Open(ctx, cacheURL, store.WithTrustedKeys(keys...))
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

// Publish a folder in an S3 bucket, and fetch it again with only the public key
// trusted.
func Example() {
	s3, err := fakes3.Start(fakes3.Options{Buckets: []string{"cache"}})
	if err != nil {
		log.Fatal(err)
	}
	defer s3.Close()
	os.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	os.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	scratch, err := os.MkdirTemp("", "nixs3-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(scratch)
	folder := filepath.Join(scratch, "greeting")
	if err := os.Mkdir(folder, 0o755); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "hello"), []byte("hello\n"), 0o644); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	key, err := narinfo.GenerateKey("cache.example.org-1", nil)
	if err != nil {
		log.Fatal(err)
	}
	url := "s3://cache?endpoint=" + s3.Endpoint()
	storePath, err := publish(ctx, url, key, folder)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(storePath)

	if err := fetch(ctx, url, storePath, filepath.Join(scratch, "fetched"), key.Public()); err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(scratch, "fetched", "hello"))
	fmt.Printf("%s%v\n", text, err)
	// Output:
	// /nix/store/mslpaccfqgjv3j9q2278sn7p1wi66pp8-greeting
	// hello
	// <nil>
}

// Copy the closure of a path from a cache that Nix wrote.
func ExampleCopy() {
	ctx := context.Background()
	dir, err := filepath.Abs("testdata/caches/full-xz")
	if err != nil {
		log.Fatal(err)
	}
	from, err := store.Open(ctx, "file://"+dir)
	if err != nil {
		log.Fatal(err)
	}
	defer from.Close()
	to, err := store.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	defer to.Close()
	root, err := storepath.ParseBase("a6qzp68m5h3sa7v283h5l0250s2ccj7g-wrapper-1.0")
	if err != nil {
		log.Fatal(err)
	}
	report, err := store.Copy(ctx, to, from, []storepath.Path{root}, store.CopyOptions{})
	fmt.Println(report.Copied, "paths copied,", err)
	// Output: 2 paths copied, <nil>
}
