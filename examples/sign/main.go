// Command sign adds a signature to a narinfo, offline:
//
//	nix key generate-secret --key-name cache-1 > key.sec
//	go run ./examples/sign key.sec < old.narinfo > new.narinfo
//
// It is for caches whose key is not on the uploading machine. It keeps unknown
// fields and other signatures.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"example.com/nixs3/narinfo"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: sign KEYFILE < NARINFO")
	}
	if err := sign(context.Background(), os.Args[1], os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// maxNarInfo bounds a narinfo in bytes, far above any real one.
const maxNarInfo = 4 << 20

func sign(ctx context.Context, keyFile string, in io.Reader, out io.Writer) error {
	key, err := narinfo.LoadSecretKey(keyFile)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(in, maxNarInfo+1))
	if err != nil {
		return err
	}
	if len(data) > maxNarInfo {
		return fmt.Errorf("expected a narinfo of at most %d bytes, got a larger one", maxNarInfo)
	}
	info, err := narinfo.Parse(data)
	if err != nil {
		return err
	}
	if err := info.Sign(ctx, key); err != nil {
		return err
	}
	text, err := info.MarshalText()
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}
