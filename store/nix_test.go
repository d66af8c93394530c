package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lab"
)

// someTree makes a small tree with a bit of everything.
func someTree(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	for name, text := range map[string]string{
		"bin/hello":             "#!/bin/sh\necho hello\n",
		"share/empty":           "",
		"share/ünïcödé/with sp": strings.Repeat("some text that compresses\n", 20_000),
	} {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	require.NoError(t, os.Chmod(filepath.Join(dir, "bin/hello"), 0o755))
	require.NoError(t, os.Symlink("hello", filepath.Join(dir, "bin/hi")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty-dir"), 0o755))
	return dir
}

// TestNixReadsWhatWeWrite has a real Nix substitute, signature required, out
// of caches that nixs3 wrote, and verify them.
func TestNixReadsWhatWeWrite(t *testing.T) {
	for _, compression := range []string{"none", "zstd", "xz", "gzip", "br"} {
		t.Run(compression, func(t *testing.T) {
			nix := lab.NewNix(t)
			secret, public := nix.GenerateKey("nixs3-test-1")
			key, err := narinfo.LoadSecretKey(secret)
			require.NoError(t, err)
			dir := filepath.Join(nix.Dir, "cache")
			cache := open(t, "file://"+dir+"?write-nar-listing=true&compression="+compression, store.WithSigners(key))

			tree := someTree(t)
			leaf, err := store.AddPath(t.Context(), cache, tree, store.AddPathOptions{Name: "leaf"})
			require.NoError(t, err)
			user, err := store.AddPath(t.Context(), cache, tree, store.AddPathOptions{Name: "user", References: []storepath.Path{leaf.Path}})
			require.NoError(t, err)
			// What came with a signature of its own keeps it.
			_, err = store.Copy(t.Context(), cache, open(t, corpusURL(t, "full-xz")), nil, store.CopyOptions{All: true})
			require.NoError(t, err)

			full := storepath.Default.Join(user.Path)
			nix.Run("nix", "store", "verify", "--store", "file://"+dir, "--all", "--trusted-public-keys", public)
			nix.Run("nix", "copy", "--from", "file://"+dir, full, "--option", "require-sigs", "true", "--option", "trusted-public-keys", public)
			require.Equal(t, nix.Run("nix-store", "--dump", tree), nix.Run("nix-store", "--dump", nix.Physical(full)))

			text := nix.Run("nix", "path-info", "--json", "--store", "file://"+dir, full)
			got, err := narinfo.ParseRecords([]byte(text)) // each Nix has another form
			require.NoError(t, err)
			require.Len(t, got, 1)
			require.Equal(t, user.CA, got[0].NarInfo.CA)
			require.Equal(t, user.NarSize, got[0].NarInfo.NarSize)
			require.Equal(t, []storepath.Path{leaf.Path}, got[0].NarInfo.References)
		})
	}
}

// TestPathsAreNixs compares the store paths that AddPath makes with those of a
// real Nix.
func TestPathsAreNixs(t *testing.T) {
	nix := lab.NewNix(t)
	tree := someTree(t)
	cache := open(t, "mem://")

	got, err := store.AddPath(t.Context(), cache, tree, store.AddPathOptions{Name: "a-tree"})
	require.NoError(t, err)
	require.Equal(t, nix.Run("nix", "store", "add-path", tree, "--name", "a-tree"), storepath.Default.Join(got.Path))

	file := filepath.Join(tree, "bin", "hello")
	got, err = store.AddPath(t.Context(), cache, file, store.AddPathOptions{Method: storepath.MethodFlat})
	require.NoError(t, err)
	require.Equal(t, nix.Run("nix", "store", "add-file", file), storepath.Default.Join(got.Path))
}

// TestWeReadWhatNixWrites copies out of caches that a real Nix writes here and
// now, in every compression that it offers.
func TestWeReadWhatNixWrites(t *testing.T) {
	nix := lab.NewNix(t)
	secret, public := nix.GenerateKey("nix-1")
	keys, err := narinfo.ParseTrustedKeys(public)
	require.NoError(t, err)
	full := nix.Run("nix", "store", "add-path", someTree(t), "--name", "tree")
	p, err := storepath.Default.Parse(full)
	require.NoError(t, err)
	want := nix.Run("nix-store", "--dump", nix.Physical(full))
	for _, compression := range []string{"none", "xz", "zstd", "bzip2", "gzip", "br", "lzip", "lz4", "lzma", "compress"} {
		t.Run(compression, func(t *testing.T) {
			url := "file://" + filepath.Join(nix.Dir, compression)
			nix.Run("nix", "copy", "--to", url+"?write-nar-listing=true&secret-key="+secret+"&compression="+compression, full)
			src := open(t, url, store.WithTrustedKeys(keys...))
			require.Equal(t, want, string(requireReads(t, src, p)))
			dst := open(t, "mem://")
			_, err := store.Copy(t.Context(), dst, src, []storepath.Path{p}, store.CopyOptions{TrustedKeys: keys})
			require.NoError(t, err)
			require.Equal(t, want, string(requireReads(t, dst, p)))
		})
	}
}
