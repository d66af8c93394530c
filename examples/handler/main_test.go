package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
)

func TestPages(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	require.NoError(t, os.WriteFile(file, []byte("hi\n"), 0o600))
	cache, err := store.Open(t.Context(), "mem://")
	require.NoError(t, err)
	defer cache.Close()
	info, err := store.AddPath(t.Context(), cache, file, store.AddPathOptions{})
	require.NoError(t, err)
	handler, err := pages(cache)
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()

	resp, err := http.Get(server.URL + "/")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "substituters = "+server.URL+"/cache\n", string(text))

	served, err := store.Open(t.Context(), server.URL+"/cache")
	require.NoError(t, err)
	defer served.Close()
	dest := filepath.Join(t.TempDir(), "dest")
	require.NoError(t, store.Restore(t.Context(), served, info.Path, dest))
	text, err = os.ReadFile(dest)
	require.NoError(t, err)
	assert.Equal(t, "hi\n", string(text))
}
