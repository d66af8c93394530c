// Command ci uploads what a build made, as a step of CI, and reports progress in
// lines:
//
//	go run ./examples/ci 's3://bucket?region=eu-west-1&secret-key=key.sec' https://cache.nixos.org cache.nixos.org-1:6NCH… ./result
//
// What the upstream serves with a signature by its key is left out.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/localstore"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: ci CACHE-URL UPSTREAM-URL UPSTREAM-KEY RESULT")
	}
	ctx := context.Background()
	local, err := localstore.OpenURL(ctx, "auto")
	if err != nil {
		log.Fatal(err)
	}
	defer local.Close()
	result, err := os.Readlink(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	root, err := local.StoreDir().Parse(result)
	if err != nil {
		log.Fatal(err)
	}
	if err := upload(ctx, os.Stderr, local, root, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

// upload copies the closure of a path to a cache, without what the upstream has.
func upload(ctx context.Context, out io.Writer, src store.Source, root storepath.Path, cacheURL, upstreamURL, upstreamKey string) error {
	keys, err := narinfo.ParseTrustedKeys(upstreamKey)
	if err != nil {
		return err
	}
	cache, err := store.Open(ctx, cacheURL)
	if err != nil {
		return err
	}
	defer cache.Close()
	upstream, err := store.Open(ctx, upstreamURL)
	if err != nil {
		return err
	}
	defer upstream.Close()

	closure, err := store.Closure(ctx, src, []storepath.Path{root})
	if err != nil {
		return err
	}
	var size int64
	for _, info := range closure {
		size += info.NarSize
	}
	fmt.Fprintf(out, "%s has %d paths of %d bytes\n", root, len(closure), size)

	var last time.Time
	report, err := store.Copy(ctx, cache, src, []storepath.Path{root}, store.CopyOptions{
		Upstreams: []store.Upstream{{Store: upstream, Keys: keys}},
		Progress: func(p store.Progress) {
			if time.Since(last) > 10*time.Second {
				last = time.Now()
				fmt.Fprintf(out, "%d of %d paths, %d of %d bytes\n", p.Paths, p.PathsTotal, p.NARBytes, p.NARBytesTotal)
			}
		},
	})
	if err != nil {
		return err // whatever is in the cache is whole; running again sends the rest
	}
	_, err = fmt.Fprintf(out, "copied %d, there already %d, upstream %d\n", report.Copied, report.Present, report.Upstream)
	return err
}
