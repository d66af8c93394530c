package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

func TestUpload(t *testing.T) {
	dir := t.TempDir()
	upstreamURL := "file://" + filepath.ToSlash(filepath.Join(dir, "upstream"))
	cacheURL := "file://" + filepath.ToSlash(filepath.Join(dir, "cache"))
	file := filepath.Join(dir, "lib")
	require.NoError(t, os.WriteFile(file, []byte("lib\n"), 0o600))

	// What is built refers to a library that the upstream has signed.
	key, err := narinfo.GenerateKey("upstream-1", nil)
	require.NoError(t, err)
	upstream, err := store.Open(t.Context(), upstreamURL, store.WithSigners(key))
	require.NoError(t, err)
	built, err := store.Open(t.Context(), "mem://")
	require.NoError(t, err)
	var lib *narinfo.NarInfo
	for _, cache := range []*store.Cache{upstream, built} {
		lib, err = store.AddPath(t.Context(), cache, file, store.AddPathOptions{})
		require.NoError(t, err)
	}
	tool, err := store.AddPath(t.Context(), built, file, store.AddPathOptions{Name: "tool", References: []storepath.Path{lib.Path}})
	require.NoError(t, err)

	for _, want := range []string{"copied 1, there already 0, upstream 1\n", "copied 0, there already 1, upstream 1\n"} {
		var out bytes.Buffer
		require.NoError(t, upload(t.Context(), &out, built, tool.Path, cacheURL, upstreamURL, key.Public().String()))
		assert.Contains(t, out.String(), "-tool has 2 paths of")
		assert.Contains(t, out.String(), want)
	}
	assert.Error(t, upload(t.Context(), &bytes.Buffer{}, built, tool.Path, cacheURL, upstreamURL, "not a key"))
}
