package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/url"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
	"example.com/nixs3/store/verify"
)

// manyInfo is the i-th of many paths, and the key of its archive.
func manyInfo(i int) *narinfo.NarInfo {
	h := narinfoHash(fmt.Sprint(i))
	info := &narinfo.NarInfo{
		PathInfo: narinfo.PathInfo{StoreDir: "/nix/store", Path: path(h.Nix32()[:32] + "-path"), NarHash: h, NarSize: 1},
		URL:      "nar/" + h.Nix32() + ".nar", Compression: "none", FileSize: 1,
	}
	return info
}

// TestListingTakesTheFewestLists counts the LIST requests of a check: one for
// each thousand objects, and with a journal nothing else.
func TestListingTakesTheFewestLists(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
	const paths = 1100
	s3.PutObject("cache", layout.CacheInfoKey, []byte("StoreDir: /nix/store\n"), nil)
	for i := range paths {
		info := manyInfo(i)
		text, err := info.MarshalText()
		require.NoError(t, err)
		s3.PutObject("cache", infoKey(info), text, nil)
		s3.PutObject("cache", info.URL, []byte("x"), nil)
	}
	c := openServer(t, "s3://cache?region="+s3.Region()+"&endpoint="+url.QueryEscape(s3.Endpoint()))
	var journal bytes.Buffer
	require.Empty(t, check(t, c, verify.Options{Journal: &journal}))
	require.Equal(t, 2+2, s3.Count("ListObjectsV2"))

	before := s3.Count("GetObject")
	require.Empty(t, check(t, c, verify.Options{Resume: &journal}))
	require.Equal(t, 2*(2+2), s3.Count("ListObjectsV2"))
	require.Equal(t, before, s3.Count("GetObject"))
}

// large is a bucket with a million paths that are made up when they are asked
// for.
type large struct {
	blob.Bucket
	paths []string // hash parts and hashes, sorted
	byKey map[string]int
}

func (l *large) List(_ context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		if !opts.Shallow && opts.Prefix != layout.ArchivePrefix {
			return
		}
		for _, hash := range l.paths {
			a := blob.Attrs{Key: layout.NarInfoKey(hash[:32]), Size: 300, ETag: `"x"`, ModTime: time.Unix(1, 0)}
			if !opts.Shallow {
				a.Key, a.Size = "nar/"+hash+".nar", 1
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

func (l *large) Get(_ context.Context, key string, _ blob.GetOptions) (*blob.Object, error) {
	hashPart, ok := layout.ParseNarInfoKey(key)
	if !ok {
		return nil, &blob.Error{Op: "Get", Key: key, Err: blob.ErrNotFound}
	}
	text, err := manyInfo(l.byKey[hashPart]).MarshalText()
	if err != nil {
		return nil, err
	}
	return &blob.Object{Attrs: blob.Attrs{Key: key, Size: int64(len(text))}, Length: int64(len(text)), Body: noClose{bytes.NewReader(text)}}, nil
}

type noClose struct{ *bytes.Reader }

func (noClose) Close() error { return nil }

// TestAMillionPaths measures a check at the depth Listing; it runs where
// NIXS3_MEASURE is set.
func TestAMillionPaths(t *testing.T) {
	if os.Getenv("NIXS3_MEASURE") == "" {
		t.Skip("NIXS3_MEASURE is not set")
	}
	const n = 1_000_000
	l := &large{Bucket: corpusCache(t, "none").Bucket(), byKey: map[string]int{}}
	for i := range n {
		hash := narinfoHash(fmt.Sprint(i)).Nix32()
		l.paths = append(l.paths, hash)
		l.byKey[hash[:32]] = i
	}
	slices.Sort(l.paths)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	var plan verify.Plan
	findings := check(t, newCache(t, l), verify.Options{Plan: func(p verify.Plan) error {
		plan = p
		runtime.GC()
		runtime.ReadMemStats(&after)
		return nil
	}})
	t.Logf("%d paths: %d LISTs, %d requests, %v, %d MiB for the survey, %d findings", plan.Paths, plan.Lists, plan.Requests,
		time.Since(start), (after.HeapAlloc-before.HeapAlloc)>>20, len(findings))
	require.EqualValues(t, 2*n/1000, plan.Lists)
}
