package lab_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/internal/lab"
)

func TestNix(t *testing.T) {
	n := lab.NewNix(t)
	tree := filepath.Join(n.Dir, "tree")
	require.NoError(t, os.Mkdir(tree, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "a"), []byte("hi\n"), 0o644))

	path := n.Run("nix", "store", "add-path", tree, "--name", "foo")
	assert.Equal(t, "/nix/store/l4kfad8bgk1j5qfhj0nrk8cs97bl036j-foo", path, "the store directory is the usual one")
	data, err := os.ReadFile(filepath.Join(n.Physical(path), "a"))
	require.NoError(t, err, "the files lie in the scratch root")
	assert.Equal(t, "hi\n", string(data))

	remembered := filepath.Join(n.Dir, "home", ".cache", "nix")
	require.NoError(t, os.MkdirAll(remembered, 0o755))
	n.ForgetCaches()
	assert.NoDirExists(t, remembered)
}

func TestNixBuildsAndSigns(t *testing.T) {
	n := lab.NewNix(t)
	expr := `derivation { name = "x"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo $out > $out" ]; }`
	path := n.Run("nix-build", "--no-out-link", "--expr", expr)
	data, err := os.ReadFile(n.Physical(path))
	require.NoError(t, err)
	assert.Equal(t, path+"\n", string(data))

	secret, public := n.GenerateKey("test-1")
	_, other := n.GenerateKey("other-1")
	cache := "file://" + filepath.Join(n.Dir, "cache")
	n.Run("nix", "copy", "--to", cache+"?compression=none&secret-key="+secret, path)
	for name, want := range map[string]struct {
		key  string
		exit int
	}{"the key that signed": {public, 0}, "another key": {other, 2}} {
		t.Run(name, func(t *testing.T) {
			r := n.Try("nix", "store", "verify", "--store", cache, "--all", "--trusted-public-keys", want.key)
			assert.Equal(t, want.exit, r.Exit, r.Stderr)
		})
	}
}
