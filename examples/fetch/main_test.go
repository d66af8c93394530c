package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

func TestFetch(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	require.NoError(t, os.WriteFile(source, []byte("contents"), 0o644))
	key, err := narinfo.GenerateKey("example-1", nil)
	require.NoError(t, err)
	other, err := narinfo.GenerateKey("example-1", nil)
	require.NoError(t, err)

	// A path that was built: its name does not follow from its contents, so a
	// signature is all that vouches for it.
	url := "file://" + filepath.ToSlash(filepath.Join(dir, "cache"))
	cache, err := store.Open(t.Context(), url, store.WithSigners(key))
	require.NoError(t, err)
	defer cache.Close()
	added, err := store.AddPath(t.Context(), cache, source, store.AddPathOptions{})
	require.NoError(t, err)
	built := added.PathInfo
	built.CA = storepath.ContentAddress{}
	built.Signatures = nil
	built.Path, err = storepath.ParseBase(nixhash.EncodeNix32(make([]byte, 20)) + "-built")
	require.NoError(t, err)
	archive, err := cache.NAR(t.Context(), added.Path)
	require.NoError(t, err)
	defer archive.Close()
	_, err = cache.Add(t.Context(), &built, archive, store.AddOptions{})
	require.NoError(t, err)
	full := storepath.Default.Join(built.Path)

	t.Run("what is signed", func(t *testing.T) {
		dest := filepath.Join(t.TempDir(), "dest")
		require.NoError(t, fetch(t.Context(), url, key.Public().String(), full, dest))
		data, err := os.ReadFile(dest)
		require.NoError(t, err)
		assert.Equal(t, "contents", string(data))
	})
	t.Run("not what another has signed", func(t *testing.T) {
		dest := filepath.Join(t.TempDir(), "dest")
		require.ErrorIs(t, fetch(t.Context(), url, other.Public().String(), full, dest), store.ErrUntrusted)
		assert.NoFileExists(t, dest)
	})
	t.Run("not what is not there", func(t *testing.T) {
		absent := "/nix/store/" + strings.Repeat("1", 32) + "-absent"
		require.ErrorIs(t, fetch(t.Context(), url, key.Public().String(), absent, filepath.Join(t.TempDir(), "dest")), store.ErrNotFound)
	})
	t.Run("not from another store directory", func(t *testing.T) {
		err := fetch(t.Context(), url, key.Public().String(), "/gnu/store/x", filepath.Join(t.TempDir(), "dest"))
		require.ErrorContains(t, err, "is not in the store directory")
	})
	t.Run("not with half a key", func(t *testing.T) {
		require.ErrorContains(t, fetch(t.Context(), url, "example-1", full, dir), "public key")
	})
}
