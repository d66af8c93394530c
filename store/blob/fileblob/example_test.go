package fileblob_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
)

func Example() {
	dir, err := os.MkdirTemp("", "cache")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	bucket, err := fileblob.Open(dir, fileblob.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bucket.Close()
	for _, key := range []string{"nix-cache-info", "nar/b.nar", "nar/a.nar"} {
		if _, err := bucket.Put(ctx, key, strings.NewReader(key), blob.PutOptions{}); err != nil {
			fmt.Println(err)
			return
		}
	}
	for attrs, err := range bucket.List(ctx, blob.ListOptions{Prefix: "nar/"}) {
		fmt.Println(attrs.Key, attrs.Size, err)
	}
	// Output:
	// nar/a.nar 9 <nil>
	// nar/b.nar 9 <nil>
}
