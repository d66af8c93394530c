package store_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// s3Cache opens a cache in a bucket of a fake S3.
func s3Cache(t testing.TB, s3 *fakes3.Server, query string, opts ...store.Option) *store.Cache {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	return open(t, "s3://cache?endpoint="+s3.Endpoint()+query, opts...)
}

// independent are n objects without references.
func independent(t testing.TB, n, size int) []object {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(n), 3))
	objects := make([]object, n)
	for i := range objects {
		text := make([]byte, size)
		for j := range text {
			text[j] = byte(rng.Uint32())
		}
		objects[i] = newObject(t, uint64(i)<<20, text)
	}
	return objects
}

// work counts the requests of a server but those that look whether the cache is
// under collection: one at the beginning, and at most one a second.
func work(s3 *fakes3.Server) int {
	n := 0
	for _, r := range s3.Requests() {
		if !strings.HasPrefix(r.Key, layout.ControlPrefix) {
			n++
		}
	}
	return n
}

func TestCopyTakesFewRequests(t *testing.T) {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
	const n = 300
	objects := independent(t, n, 20_000)
	src, _ := fill(t, objects, store.Settings{Compression: "none"})
	dst := s3Cache(t, s3, "")
	report, err := store.Copy(t.Context(), dst, src, paths(objects), store.CopyOptions{})
	require.NoError(t, err)
	require.Equal(t, n, report.Copied)
	// An archive and a narinfo each; one listing; and for nix-cache-info a
	// look, an object, and the two requests by which the driver learns that
	// the server honours conditions.
	require.LessOrEqual(t, work(s3), 2*n+5)

	before := work(s3)
	again := s3Cache(t, s3, "")
	report, err = store.Copy(t.Context(), again, src, paths(objects), store.CopyOptions{})
	require.NoError(t, err)
	require.Equal(t, n, report.Present)
	require.LessOrEqual(t, work(s3)-before, 2, "one listing tells all")
}

// TestCopyOfFewAsksForEach copies few paths to a cache of many: the listing
// would cost more than a question for each.
func TestCopyOfFewAsksForEach(t *testing.T) {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}, PageSize: 10})
	objects := independent(t, 400, 100)
	src, _ := fill(t, objects, store.Settings{Compression: "none"})
	dst := s3Cache(t, s3, "")
	_, err := store.Copy(t.Context(), dst, src, paths(objects), store.CopyOptions{})
	require.NoError(t, err)
	before := work(s3)
	_, err = store.Copy(t.Context(), dst, src, paths(objects[:5]), store.CopyOptions{})
	require.NoError(t, err)
	require.LessOrEqual(t, work(s3)-before, 5)
}

// TestNothingToDoIsOneListing copies a closure of 10,000 paths that is there.
func TestNothingToDoIsOneListing(t *testing.T) {
	const n = 10_000
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
	require.NoError(t, s3.PutObject("cache", "nix-cache-info", []byte("StoreDir: /nix/store\n"), nil))
	b := memblob.New()
	var top storepath.Path
	for i := range uint64(n) {
		info := newObject(t, i, nil).info
		if i > 0 {
			info.References = []storepath.Path{top}
		}
		top = info.Path
		text, err := (&narinfo.NarInfo{PathInfo: *info, URL: "nar/x", Compression: "none"}).MarshalText()
		require.NoError(t, err)
		key := info.Path.HashPart() + ".narinfo"
		_, err = b.Put(t.Context(), key, bytes.NewReader(text), blob.PutOptions{})
		require.NoError(t, err)
		require.NoError(t, s3.PutObject("cache", key, text, nil))
	}
	dst := s3Cache(t, s3, "")
	report, err := store.Copy(t.Context(), dst, newCache(t, b, store.Settings{}), []storepath.Path{top}, store.CopyOptions{})
	require.NoError(t, err)
	require.Equal(t, n, report.Present)
	require.LessOrEqual(t, work(s3), 12)
}
