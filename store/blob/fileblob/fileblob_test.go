package fileblob_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/storetest"
)

func TestConformance(t *testing.T) {
	for name, opts := range map[string]fileblob.Options{"fast": {NoSync: true}, "synced": {}} {
		t.Run(name, func(t *testing.T) {
			if !opts.NoSync && testing.Short() {
				t.Skip("fsync is slow")
			}
			storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
				return open(t, t.TempDir(), opts)
			}, storetest.Features{
				NoContentType:     true,
				NoContentEncoding: true,
				NoChecksum:        true,
				NoKey:             noFileName,
				ListPage:          50, // there are no pages here
			})
		})
	}
}

func TestMissingDirectoryIsMadeByTheFirstWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	_, err := fileblob.Open(dir, fileblob.Options{})
	require.ErrorIs(t, err, blob.ErrNoSuchBucket)

	b, err := fileblob.Open(dir, fileblob.Options{Create: true})
	require.NoError(t, err)
	_, err = b.Head(t.Context(), "x")
	require.ErrorIs(t, err, blob.ErrNoSuchBucket)
	require.ErrorIs(t, b.Delete(t.Context(), "x"), blob.ErrNoSuchBucket)
	for _, err := range b.List(t.Context(), blob.ListOptions{}) {
		require.ErrorIs(t, err, blob.ErrNoSuchBucket)
	}
	for _, err := range b.Uploads(t.Context(), "") {
		require.ErrorIs(t, err, blob.ErrNoSuchBucket)
	}
	require.NoDirExists(t, dir)

	_, err = b.Put(t.Context(), "x", strings.NewReader("text"), blob.PutOptions{})
	require.NoError(t, err)
	_, err = b.Head(t.Context(), "x")
	require.NoError(t, err)
	require.NoError(t, b.Close())
}

// Brotli has no magic bytes, so that a reader could not detect it.
func TestBrotliIsRefused(t *testing.T) {
	b := open(t, t.TempDir(), fileblob.Options{})
	opts := blob.PutOptions{ContentEncoding: "br"}
	_, err := b.Put(t.Context(), "x", strings.NewReader("x"), opts)
	require.ErrorContains(t, err, "keeps no Content-Encoding")
	staged, err := b.Stage(t.Context())
	require.NoError(t, err)
	_, err = staged.Commit("x", opts)
	require.ErrorContains(t, err, "keeps no Content-Encoding")
	require.NoError(t, staged.Close())
	_, err = b.Head(t.Context(), "x")
	require.ErrorIs(t, err, blob.ErrNotFound)
}
