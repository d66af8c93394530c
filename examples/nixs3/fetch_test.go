package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

func TestFetch(t *testing.T) {
	cache, key := testCache(t), publicKey(t)
	dir := t.TempDir()
	dest := filepath.Join(dir, "hello")
	got := nixs3(t, "", "fetch", "--from", cache, "--trusted-public-keys", key, hello, dest)
	require.Equal(t, result{}, got)
	text, err := os.ReadFile(filepath.Join(dest, "bin", "hello"))
	require.NoError(t, err)
	assert.Equal(t, "#!/bin/sh\necho hello\n", string(text))

	archive := nixs3(t, "", "fetch", "--from", cache, "--nar", hello)
	require.Equal(t, exitOK, archive.exit, archive.stderr)
	var dumped bytes.Buffer
	require.NoError(t, nar.Dump(&dumped, dest))
	assert.True(t, archive.stdout == dumped.String())

	other := "x:" + strings.SplitN(key, ":", 2)[1]
	untrusted := filepath.Join(dir, "untrusted")
	check(t, []command{
		{"there already", []string{"fetch", "--from", cache, hello, dest}, "", "", "exist", exitFailed},
		{"untrusted", []string{"fetch", "--from", cache, "--trusted-public-keys", other, hello, untrusted}, "", "", "not signed by a trusted key", exitFailed},
		{"untrusted, a closure", []string{"fetch", "--closure", "--from", cache, "--trusted-public-keys", other, hello, untrusted}, "", "", "not signed by a trusted key", exitFailed},
		{"a file", []string{"fetch", "--from", cache, hello + "/bin/hello", untrusted}, "", "", "cat prints a file", exitFailed},
		{"nowhere", []string{"fetch", "--from", cache, hello}, "", "", "expected either DEST or --nar", exitUsage},
		{"two places", []string{"fetch", "--from", cache, "--nar", hello, untrusted}, "", "", "expected either DEST or --nar", exitUsage},
	})
	assert.NoDirExists(t, filepath.Join(untrusted, hello))
}

func TestFetchClosure(t *testing.T) {
	root := t.TempDir()
	t.Cleanup(func() { require.NoError(t, removePart(root)) }) // its folders are read-only
	args := []string{"fetch", "--closure", "--from", testCache(t), env, root}
	store := filepath.Join(root, "nix", "store")
	require.NoError(t, os.MkdirAll(filepath.Join(store, ".part-"+filepath.Base(hello), "left"), 0o755))
	for range 2 { // what is there is kept
		got := nixs3(t, "", args...)
		require.Equal(t, exitOK, got.exit, got.stderr)
		assert.Contains(t, got.stderr, "3 paths in ")
	}
	entries, err := os.ReadDir(store)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		assert.EqualValues(t, 1, info.ModTime().Unix(), entry.Name())
		assert.Zero(t, info.Mode().Perm()&0o222, entry.Name())
	}
}
