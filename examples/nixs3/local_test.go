package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCopyFromALocalStore uploads what a real Nix built, and lets it take it
// back with the signature required.
func TestCopyFromALocalStore(t *testing.T) {
	nix := newNix(t)
	expr := `derivation { name = "built"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo $out > $out" ]; }`
	path := nix.run("nix-build", "--no-out-link", "--expr", expr)
	secret, public := nix.generateKey("test-1")
	from := "local?root=" + nix.root()

	for name, arg := range map[string]string{"full path": path, "hash part": filepath.Base(path)[:32]} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			got := nixs3(t, "", "copy", "--from", from, "--to", fileURL(t, dir), "--sign-with", secret, arg)
			require.Equal(t, exitOK, got.exit, got.stderr)
			assert.Contains(t, got.stderr, "1 of 1 paths copied")
			nix.run("nix", "store", "verify", "--store", fileURL(t, dir), "--all", "--trusted-public-keys", public)

			other := newNix(t)
			other.run("nix", "copy", "--from", fileURL(t, dir), "--option", "trusted-public-keys", public, path)
			text, err := os.ReadFile(other.physical(path))
			require.NoError(t, err)
			assert.Equal(t, path+"\n", string(text))
		})
	}
}

// TestAddAsNixDoes compares store paths with those of "nix store add-path".
func TestAddAsNixDoes(t *testing.T) {
	nix := newNix(t)
	cache := fileURL(t, filepath.Join(t.TempDir(), "cache"))
	for _, path := range []string{"testdata", "main.go"} {
		abs, err := filepath.Abs(path)
		require.NoError(t, err)
		want := nix.run("nix", "store", "add-path", abs)
		assert.Equal(t, result{stdout: want + "\n"}, nixs3(t, "", "add", "--to", cache, path))
	}
}
