package localstore_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/localstore"
)

// TestStoreOfNix reads a store that a real Nix made. It has added and built
// paths, references to other paths and to the path itself, and a derivation.
func TestStoreOfNix(t *testing.T) {
	n := lab.NewNix(t)
	tree := filepath.Join(n.Dir, "tree")
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "sub", "run"), []byte("#!/bin/sh\n"), 0o755))
	require.NoError(t, os.Symlink("sub/run", filepath.Join(tree, "link")))
	n.Run("nix", "store", "add-path", tree, "--name", "tree")
	n.Run("nix-store", "--add-fixed", "sha1", filepath.Join(tree, "sub", "run"))
	secret, public := n.GenerateKey("lab-1")
	built := n.Run("nix-build", "--no-out-link", "--option", "secret-key-files", secret, "--expr", `
		let run = name: text: derivation { inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" text ]; };
		    leaf = run "leaf" "echo leaf > $out";
		in run "top" "echo ${leaf} $out > $out"`)

	want, err := narinfo.ParseRecords([]byte(n.Run("nix", "path-info", "--json", "--all")))
	require.NoError(t, err)
	s, err := localstore.OpenURL(t.Context(), "local?root="+n.Root())
	require.NoError(t, err)
	defer s.Close()

	t.Run("knows what Nix knows", func(t *testing.T) {
		var paths []storepath.Path
		for p, err := range s.AllPaths(t.Context()) {
			require.NoError(t, err)
			paths = append(paths, p)
		}
		require.Len(t, paths, len(want))
		for _, w := range want {
			got, err := s.Record(t.Context(), w.NarInfo.Path)
			require.NoError(t, err)
			assert.True(t, w.NarInfo.PathInfo.Equal(&got.NarInfo.PathInfo), "expected %+v\ngot %+v", w, got)
			assert.Equal(t, w.Ultimate, got.Ultimate)
			assert.Equal(t, w.RegistrationTime, got.RegistrationTime)
			p, err := s.PathByHash(t.Context(), w.NarInfo.Path.HashPart())
			require.NoError(t, err)
			assert.Equal(t, w.NarInfo.Path, p)
		}
	})
	t.Run("dumps what Nix dumps", func(t *testing.T) {
		for _, w := range want {
			cmd := n.Cmd("nix-store", "--dump", n.Physical(storepath.Default.Join(w.NarInfo.Path)))
			dump, err := cmd.Output()
			require.NoError(t, err)
			r, err := s.NAR(t.Context(), w.NarInfo.Path)
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			assert.True(t, bytes.Equal(dump, got), "%s", w.NarInfo.Path)
		}
	})
	t.Run("is copied with its signatures", func(t *testing.T) {
		keys, err := narinfo.ParseTrustedKeys(public)
		require.NoError(t, err)
		cache, err := store.Open(t.Context(), "mem://", store.WithTrustedKeys(keys...))
		require.NoError(t, err)
		defer cache.Close()
		top, err := storepath.Default.Parse(built)
		require.NoError(t, err)
		report, err := store.Copy(t.Context(), cache, s, []storepath.Path{top}, store.CopyOptions{TrustedKeys: keys})
		require.NoError(t, err)
		assert.Equal(t, 2, report.Copied, "top and leaf")
		dest := filepath.Join(t.TempDir(), "top")
		require.NoError(t, store.Restore(t.Context(), cache, top, dest))
		data, err := os.ReadFile(dest)
		require.NoError(t, err)
		assert.Contains(t, string(data), built)
	})
	t.Run("sees what Nix does meanwhile", func(t *testing.T) {
		before := countPaths(t, s)
		added, err := storepath.Default.Parse(n.Run("nix", "store", "add-path", tree, "--name", "later"))
		require.NoError(t, err)
		_, err = s.PathInfo(t.Context(), added)
		require.NoError(t, err)
		n.Run("nix-store", "--delete", storepath.Default.Join(added))
		_, err = s.PathInfo(t.Context(), added)
		require.ErrorIs(t, err, store.ErrNotFound)
		assert.Equal(t, before, countPaths(t, s))
	})
	t.Run("everything", func(t *testing.T) {
		cache, err := store.Open(t.Context(), "mem://")
		require.NoError(t, err)
		defer cache.Close()
		report, err := store.Copy(t.Context(), cache, s, nil, store.CopyOptions{All: true})
		require.NoError(t, err)
		assert.Equal(t, len(want), report.Copied)
	})
}

func countPaths(t *testing.T, s *localstore.Store) int {
	n := 0
	for _, err := range s.AllPaths(t.Context()) {
		require.NoError(t, err)
		n++
	}
	return n
}
