// Command remotesigner adds a file or folder to a binary cache with signatures
// from an HTTP service that keeps the key:
//
//	go run ./examples/remotesigner https://signer.example.org/sign cache-1 ./cache ./dist
//
// It shows a custom [narinfo.Signer]. The service gets the fingerprint of
// a path as the body of a POST, and answers with the signature as a line such as
// "cache-1:RjG…".
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: remotesigner SIGNER-URL KEY-NAME CACHE-URL PATH")
	}
	signer := remote{http.DefaultClient, os.Args[1], os.Args[2]}
	if err := add(context.Background(), os.Stdout, signer, os.Args[3], os.Args[4]); err != nil {
		log.Fatal(err)
	}
}

// remote is a key that an HTTP service keeps.
type remote struct {
	client    *http.Client
	url, name string
}

// KeyName implements narinfo.Signer.
func (r remote) KeyName() string { return r.name }

// maxSignature bounds an answer; a signature has a name and 88 characters.
const maxSignature = 1 << 10

// Sign implements narinfo.Signer.
func (r remote) Sign(ctx context.Context, fingerprint []byte) (narinfo.Signature, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(fingerprint))
	if err != nil {
		return narinfo.Signature{}, err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return narinfo.Signature{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return narinfo.Signature{}, fmt.Errorf("signer: %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSignature))
	if err != nil {
		return narinfo.Signature{}, err
	}
	return narinfo.ParseSignature(string(bytes.TrimSpace(text)))
}

func add(ctx context.Context, out io.Writer, signer narinfo.Signer, cacheURL, path string) error {
	cache, err := store.Open(ctx, cacheURL, store.WithSigners(signer))
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
