package localstore_test

import (
	"context"
	"fmt"
	"log"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/localstore"
)

// Copy the installed paths, with their closures, into an S3 bucket.
func Example() {
	ctx := context.Background()
	key, err := narinfo.LoadSecretKey("/etc/nix/cache-key")
	if err != nil {
		log.Fatal(err)
	}
	cache, err := store.Open(ctx, "s3://my-cache?region=eu-west-1", store.WithSigners(key))
	if err != nil {
		log.Fatal(err)
	}
	defer cache.Close()
	local, err := localstore.Open(ctx, localstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer local.Close()

	root, err := storepath.Default.Parse("/nix/store/z9ziz7ipnh5x6xdw46pb1wdlw0ss1m78-hello")
	if err != nil {
		log.Fatal(err)
	}
	report, err := store.Copy(ctx, cache, local, []storepath.Path{root}, store.CopyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of %d paths were new\n", report.Copied, report.Paths)
}

func ExampleParseURL() {
	opts, err := localstore.ParseURL("local?root=/mnt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(opts.Root)
	// Output: /mnt
}
