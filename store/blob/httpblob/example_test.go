package httpblob_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/httpblob"
)

func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "StoreDir: /nix/store")
	}))
	defer server.Close()

	bucket, err := httpblob.Open(server.URL, httpblob.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bucket.Close()
	data, _, err := blob.ReadAll(context.Background(), bucket, "nix-cache-info", 1<<20)
	fmt.Print(string(data), err)
	// Output:
	// StoreDir: /nix/store
	// <nil>
}
