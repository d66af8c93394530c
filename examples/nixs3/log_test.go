package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/cache")))
	file := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(file, []byte("building\n"), 0o600))
	const drv = "/nix/store/p4pclmv1gyja5kzc26npqpia1qqxrf0l-hello.drv"
	check(t, []command{
		{"none yet", []string{"log", "get", "--store", dir, drv}, "", "", "has no build log of " + drv, exitFailed},
		{"put a file", []string{"log", "put", "--to", dir, drv, file}, "", "", "", exitOK},
		{"get", []string{"log", "get", "--store", dir, drv}, "", "building\n", "", exitOK},
		{"put standard input", []string{"log", "put", "--to", dir, drv}, "again\n", "", "", exitOK},
		{"get the newer", []string{"log", "get", "--store", dir, drv}, "", "again\n", "", exitOK},
		{"of an output", []string{"log", "put", "--to", dir, hello}, "x", "", "expected a derivation", exitFailed},
		{"a missing file", []string{"log", "put", "--to", dir, drv, file + "x"}, "", "", "no such file", exitFailed},
	})
}

func TestLogByOutput(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/cache")))
	got := nixs3(t, "", "log", "get", "--store", dir, hello)
	assert.Equal(t, exitFailed, got.exit)
	assert.Contains(t, got.stderr, ".drv", "of its deriver")
}

func TestRealisation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	const old = `{"id":"sha256:0000000000000000000000000000000000000000000000000000000000000000!out","outPath":"jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0","signatures":[],"dependentRealisations":{}}`
	const id = "sha256:0000000000000000000000000000000000000000000000000000000000000000!out"
	check(t, []command{
		{"put", []string{"realisation", "put", "--to", dir}, old, "", "", exitOK},
		{"list", []string{"realisation", "list", "--store", dir}, "", id + "\n", "", exitOK},
		{"none of another", []string{"realisation", "get", "--store", dir, "sha256:" + "1" + id[8:]}, "", "", "has no realisation of", exitFailed},
		{"untrusted", []string{"realisation", "get", "--store", dir, "--trusted-public-keys", publicKey(t), id}, "", "", "trusted key", exitFailed},
		{"not a name", []string{"realisation", "get", "--store", dir, "x"}, "", "", "derivation output", exitFailed},
		{"not JSON", []string{"realisation", "put", "--to", dir}, "x", "", "standard input", exitFailed},
	})
	got := nixs3(t, "", "realisation", "get", "--store", dir, id)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.JSONEq(t, old, got.stdout)
}
