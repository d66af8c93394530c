// Command quickstart demonstrates nixs3 in one run without any setup:
//
//	go run ./examples/quickstart [PATH]
//
// It starts an S3 server inside this process, adds PATH (or the source code of
// the Go compiler) to a binary cache there, fetches it again as a client
// who trusts only the cache's public key, and compares the two trees. Then it
// copies what a real Nix has built from Nix's own binary cache, which is
// embedded in the program, and verifies each path.
package main

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/storetest/fakes3"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	start := time.Now()
	var tree string
	switch len(args) {
	case 0:
		var err error
		if tree, err = defaultTree(ctx); err != nil {
			return err
		}
	case 1:
		tree = args[0]
	default:
		return fmt.Errorf("expected at most one argument, the file or folder to add, got %d", len(args))
	}
	// Anonymous clients may read, as in a public cache.
	server, err := fakes3.Start(fakes3.Options{Buckets: []string{"demo"}, Anonymous: fakes3.ReadAccess})
	if err != nil {
		return err
	}
	defer server.Close()
	key, err := narinfo.GenerateKey("quickstart-1", nil)
	if err != nil {
		return err
	}
	q := &quickstart{out: out, server: server, key: key}
	if err := q.run(ctx, tree); err != nil {
		return err
	}
	q.say("Done", "in %v", since(start))
	return nil
}

// defaultTree returns a folder of every Go installation: the source code of the
// compiler.
func defaultTree(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for its GOROOT, the default tree: %w; name a file or folder instead", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src", "cmd", "compile"), nil
}

type quickstart struct {
	out    io.Writer
	server *fakes3.Server
	key    narinfo.SecretKey
}

// url returns the store URL of the cache.
func (q *quickstart) url(params string) string {
	return "s3://demo?endpoint=" + q.server.Endpoint() + params
}

func (q *quickstart) run(ctx context.Context, tree string) error {
	q.say("S3", "a server in this process at %s", q.server.Endpoint())
	q.say("Key", "%s", q.key.Public())

	// Credentials come from AWS's default chain; here from the environment.
	os.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	os.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	writer, err := store.Open(ctx, q.url(""), store.WithSigners(q.key))
	if err != nil {
		return err
	}
	defer writer.Close()
	info, err := q.add(ctx, writer, tree)
	if err != nil {
		return err
	}
	q.showBucket()

	reader, err := store.Open(ctx, q.url("&anonymous=true"), store.WithTrustedKeys(q.key.Public()))
	if err != nil {
		return err
	}
	defer reader.Close()
	if err := q.fetch(ctx, reader, info.Path, tree); err != nil {
		return err
	}
	return q.copyFromNix(ctx, writer)
}

// add adds a file or folder to the cache.
func (q *quickstart) add(ctx context.Context, cache store.BinaryCacheStore, tree string) (*narinfo.NarInfo, error) {
	files, total, err := count(tree)
	if err != nil {
		return nil, err
	}
	q.say("Tree", "%s: %d files, %s", tree, files, size(total))
	start := time.Now()
	info, err := store.AddPath(ctx, cache, tree, store.AddPathOptions{})
	if err != nil {
		return nil, err
	}
	q.say("Added", "%s", info.StoreDir.Join(info.Path))
	q.say("", "NAR %s, %s %s (ratio %.2f), hashed, compressed, signed and stored in %v, %s",
		size(info.NarSize), info.Compression, size(info.FileSize), float64(info.FileSize)/float64(info.NarSize), since(start), speed(info.NarSize, start))
	return info, nil
}

// showBucket prints the objects of the bucket.
func (q *quickstart) showBucket() {
	q.say("Bucket", "has now")
	for _, k := range q.server.Keys("demo") {
		if o, ok := q.server.Object("demo", k); ok {
			q.say("", "%10s  %s", size(int64(len(o.Body))), k)
		}
	}
}

// fetch restores a path from the cache and compares it with its source.
func (q *quickstart) fetch(ctx context.Context, cache store.BinaryCacheStore, p storepath.Path, source string) error {
	dir, err := os.MkdirTemp("", "quickstart")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	info, err := cache.PathInfo(ctx, p)
	if err != nil {
		return err
	}
	start := time.Now()
	dest := filepath.Join(dir, p.Name())
	if err := store.Restore(ctx, cache, p, dest); err != nil {
		return err
	}
	q.say("Fetched", "by a client with the public key alone: signature, file hash, NAR hash and sizes are right")
	q.say("", "restored to %s in %v, %s", dest, since(start), speed(info.NarSize, start))
	start = time.Now()
	if err := sameTree(ctx, source, dest); err != nil {
		return err
	}
	q.say("Same", "source and restored tree, byte by byte, compared in %v", since(start))
	return nil
}

// A binary cache written by Nix 2.8, and the public key of its signatures.
//
//go:embed testdata/cache
var nixCache embed.FS

//go:embed testdata/cache-key.pub
var nixCacheKey string

// copyFromNix copies all closures of Nix's cache and verifies each path.
func (q *quickstart) copyFromNix(ctx context.Context, dst store.BinaryCacheStore) error {
	dir, err := os.MkdirTemp("", "quickstart")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := fs.Sub(nixCache, "testdata/cache")
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, files); err != nil {
		return err
	}
	src, err := store.Open(ctx, "file://"+filepath.ToSlash(dir))
	if err != nil {
		return err
	}
	defer src.Close()
	nixKey, err := narinfo.ParsePublicKey(nixCacheKey)
	if err != nil {
		return err
	}

	report, err := store.Copy(ctx, dst, src, nil, store.CopyOptions{All: true, TrustedKeys: narinfo.TrustedKeys{nixKey}})
	if err != nil {
		return err
	}
	q.say("Copied", "%d paths from a binary cache that Nix wrote, each after its references: %s of NARs in %s, in %v",
		report.Copied, size(report.NARBytes), size(report.FileBytes), report.Elapsed.Round(time.Millisecond))

	// Nix's signatures are still there, so its key is enough.
	reader, err := store.Open(ctx, q.url("&anonymous=true"), store.WithTrustedKeys(nixKey))
	if err != nil {
		return err
	}
	defer reader.Close()
	start := time.Now()
	for _, todo := range report.Todo {
		if err := verify(ctx, reader, todo.Path); err != nil {
			return err
		}
	}
	q.say("Verified", "signature by %s and contents of all %d in %v, such as", nixKey.Name(), len(report.Todo), since(start))
	for _, todo := range report.Todo[:min(len(report.Todo), 3)] {
		q.say("", "%s", dst.StoreDir().Join(todo.Path))
	}
	return nil
}

// verify reads a path to its end, which the reader returns only for verified
// contents.
func verify(ctx context.Context, cache store.BinaryCacheStore, p storepath.Path) error {
	r, err := cache.NAR(ctx, p)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return cmp.Or(err, r.Close())
}
