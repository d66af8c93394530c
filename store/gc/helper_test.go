package gc_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/storetest"
)

// newCache returns a cache in memory, and its bucket.
func newCache(t testing.TB) (*store.Cache, blob.Bucket) {
	t.Helper()
	b := memblob.New()
	return cacheIn(t, b), b
}

func cacheIn(t testing.TB, b blob.Bucket) *store.Cache {
	t.Helper()
	cache, err := store.New(b, store.Settings{Compression: "none", Budget: store.Budget{Requests: 4}})
	require.NoError(t, err)
	return cache
}

// path is a store path with a name.
func path(name string) storepath.Path {
	h := nixhash.New(nixhash.SHA256)
	h.Write([]byte(name))
	digest := h.Digest().Digest()
	p, err := storepath.ParseBase(nixhash.EncodeNix32(digest[:20]) + "-" + name)
	if err != nil {
		panic(err)
	}
	return p
}

// archive is the NAR of a file.
func archive(contents string) string {
	var buf strings.Builder
	w := nar.NewWriter(&buf)
	if err := w.WriteHeader(&nar.Header{Type: nar.TypeRegular, Size: int64(len(contents))}); err != nil {
		panic(err)
	}
	if _, err := w.Write([]byte(contents)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.String()
}

// info is what is claimed of a path whose contents are its name.
func info(name string, references ...string) *narinfo.PathInfo {
	p := &narinfo.PathInfo{StoreDir: "/nix/store", Path: path(name)}
	for _, ref := range references {
		p.References = append(p.References, path(ref))
	}
	return p
}

// add adds paths, each "name: references", in their order.
func add(t testing.TB, cache *store.Cache, lines ...string) {
	t.Helper()
	for _, line := range lines {
		name, references, _ := strings.Cut(line, ":")
		_, err := cache.Add(t.Context(), info(name, strings.Fields(references)...), strings.NewReader(archive(name)), store.AddOptions{})
		require.NoError(t, err)
	}
}

// names are those of the visible paths, sorted.
func names(t testing.TB, b blob.Bucket) string {
	t.Helper()
	var found []string
	for info, err := range cacheIn(t, b).NarInfos(t.Context()) {
		require.NoError(t, err)
		found = append(found, info.Path.Name())
	}
	slices.Sort(found)
	return strings.Join(found, " ")
}

// keys are those of the bucket with a prefix.
func keys(t testing.TB, b blob.Bucket, prefix string) []string {
	t.Helper()
	var found []string
	for attrs, err := range b.List(t.Context(), blob.ListOptions{Prefix: prefix}) {
		require.NoError(t, err)
		found = append(found, attrs.Key)
	}
	return found
}

// whole fails the test unless the cache is sound.
func whole(t testing.TB, b blob.Bucket) storetest.CheckReport {
	t.Helper()
	report, err := storetest.CheckCache(context.Background(), b, storetest.CheckOptions{})
	assert.NoError(t, err)
	return report
}

const (
	day  = 24 * time.Hour
	none = -1 * time.Nanosecond // as a duration of Options
)

func paths(names ...string) (found []storepath.Path) {
	for _, name := range names {
		found = append(found, path(name))
	}
	return found
}

// narHash is the hash and size of the archive of a file.
func narHash(contents string) (nixhash.Hash, int64) {
	h := nixhash.New(nixhash.SHA256)
	h.Write([]byte(archive(contents)))
	return h.Digest(), int64(len(archive(contents)))
}

// shiftedListing is a bucket whose listings say another time.
type shiftedListing struct {
	blob.Bucket
	ahead time.Duration
}

func (s shiftedListing) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		for attrs, err := range s.Bucket.List(ctx, opts) {
			attrs.ModTime = attrs.ModTime.Add(s.ahead)
			if !yield(attrs, err) {
				return
			}
		}
	}
}
