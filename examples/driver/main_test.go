package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
		b, err := openBucket(filepath.Join(t.TempDir(), "cache.db"))
		require.NoError(t, err)
		return b
	}, storetest.Features{})
}

func TestAdd(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	require.NoError(t, os.WriteFile(file, []byte("hi\n"), 0o600))
	database := filepath.Join(dir, "cache.db")
	info, err := add(t.Context(), database, file)
	require.NoError(t, err)

	b, err := openBucket(database)
	require.NoError(t, err)
	cache, err := store.New(b, store.Settings{})
	require.NoError(t, err)
	defer cache.Close()
	restored := filepath.Join(dir, "restored")
	require.NoError(t, store.Restore(t.Context(), cache, info.Path, restored))
	got, err := os.ReadFile(restored)
	require.NoError(t, err)
	require.Equal(t, "hi\n", string(got))
	report, err := storetest.CheckCache(t.Context(), cache.Bucket(), storetest.CheckOptions{})
	require.NoError(t, err)
	require.Equal(t, 1, report.Paths)
}
