package storetest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
)

// corpusBucket returns a copy of a cache that Nix wrote.
func corpusBucket(t *testing.T) *memblob.Bucket {
	t.Helper()
	b, root := memblob.New(), lab.Cache(t, "zstd")
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		rel, err := filepath.Rel(root, path)
		require.NoError(t, err)
		store(t, b, filepath.ToSlash(rel), data)
		return nil
	}))
	return b
}

func store(t *testing.T, b blob.Bucket, key string, data []byte) {
	t.Helper()
	_, err := b.Put(t.Context(), key, bytes.NewReader(data), blob.PutOptions{})
	require.NoError(t, err)
}

func load(t *testing.T, b blob.Bucket, key string) []byte {
	t.Helper()
	data, _, err := blob.ReadAll(t.Context(), b, key, 1<<30)
	require.NoError(t, err)
	return data
}

// TestCheckCache damages a sound cache in one way at a time.
func TestCheckCache(t *testing.T) {
	const (
		wrapper    = "a6qzp68m5h3sa7v283h5l0250s2ccj7g.narinfo"
		wrapperRef = "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6.narinfo"
	)
	archiveOf := func(t *testing.T, b blob.Bucket, key string) string {
		_, rest, ok := strings.Cut(string(load(t, b, key)), "URL: ")
		require.True(t, ok)
		url, _, _ := strings.Cut(rest, "\n")
		return url
	}
	edit := func(t *testing.T, b blob.Bucket, key, old, new string) {
		text := string(load(t, b, key))
		require.Contains(t, text, old)
		store(t, b, key, []byte(strings.Replace(text, old, new, 1)))
	}
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, b *memblob.Bucket)
		want   string // "" for nothing
	}{
		{"nothing", func(*testing.T, *memblob.Bucket) {}, ""},
		{"a missing reference", func(t *testing.T, b *memblob.Bucket) {
			require.NoError(t, b.Delete(t.Context(), wrapperRef))
		}, "visible without its reference"},
		{"a missing archive", func(t *testing.T, b *memblob.Bucket) {
			require.NoError(t, b.Delete(t.Context(), archiveOf(t, b, wrapper)))
		}, "is missing"},
		{"an empty archive", func(t *testing.T, b *memblob.Bucket) {
			store(t, b, archiveOf(t, b, wrapper), nil)
		}, "FileSize says"},
		{"zeros of the right size", func(t *testing.T, b *memblob.Bucket) {
			url := archiveOf(t, b, wrapper)
			store(t, b, url, make([]byte, len(load(t, b, url))))
		}, "does not have the hash that it is named by"},
		{"another NarSize", func(t *testing.T, b *memblob.Bucket) { edit(t, b, wrapper, "NarSize: ", "NarSize: 1") }, "NarSize says"},
		{"another NarHash", func(t *testing.T, b *memblob.Bucket) {
			text := string(load(t, b, wrapperRef))
			_, rest, _ := strings.Cut(text, "NarHash: ")
			hash, _, _ := strings.Cut(rest, "\n")
			edit(t, b, wrapper, "NarHash: ", "NarHash: "+hash+"\nX-Old: ")
		}, "has another NarHash"},
		{"the narinfo of another path", func(t *testing.T, b *memblob.Bucket) {
			store(t, b, wrapper, load(t, b, wrapperRef))
		}, "is the narinfo of"},
		{"a narinfo that is none", func(t *testing.T, b *memblob.Bucket) {
			store(t, b, wrapper, []byte("<html>"))
		}, wrapper},
		{"a narinfo that no reader takes", func(t *testing.T, b *memblob.Bucket) {
			padding := "X-Padding: " + strings.Repeat("x", int(layout.NarInfo.Limit())) + "\n"
			store(t, b, wrapper, append(load(t, b, wrapper), padding...))
		}, "too large"},
		{"a description that no reader takes", func(t *testing.T, b *memblob.Bucket) {
			store(t, b, layout.CacheInfoKey, make([]byte, layout.CacheInfo.Limit()+1))
		}, "expected at most"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := corpusBucket(t)
			tt.damage(t, b)
			_, err := storetest.CheckCache(t.Context(), b, storetest.CheckOptions{})
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
	t.Run("an index is not an archive", func(t *testing.T) {
		b := corpusBucket(t)
		before, err := storetest.CheckCache(t.Context(), b, storetest.CheckOptions{})
		require.NoError(t, err)
		store(t, b, layout.IndexKey(nixhash.Sum(nixhash.SHA256, nil)), []byte("index"))
		after, err := storetest.CheckCache(t.Context(), b, storetest.CheckOptions{})
		require.NoError(t, err)
		assert.Equal(t, before, after)
	})
}
