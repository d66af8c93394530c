package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func writeFile(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), mode))
}

// keepEnvironment undoes after the test what run sets.
func keepEnvironment(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
}

func TestRun(t *testing.T) {
	keepEnvironment(t)
	tree := filepath.Join(t.TempDir(), "tree")
	writeFile(t, filepath.Join(tree, "README"), "hello\n", 0o644)
	writeFile(t, filepath.Join(tree, "bin", "run"), "#!/bin/sh\n", 0o755)

	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{tree}, &out))
	for _, want := range []string{
		"S3        a server in this process at http://127.0.0.1:",
		"Key       quickstart-1:",
		tree + ": 2 files, 16 B",
		"Added     /nix/store/",
		"ratio",
		".narinfo\n", ".nar.zst\n", "nix-cache-info\n",
		"Fetched   by a client with the public key alone",
		"Same      source and restored tree",
		"Copied    28 paths from a binary cache that Nix wrote",
		"Verified  signature by lab-cache-1 and contents of all 28",
		"Done",
	} {
		assert.Contains(t, out.String(), want)
	}
}

func TestRunRefuses(t *testing.T) {
	keepEnvironment(t)
	t.Run("what is not there", func(t *testing.T) {
		require.ErrorIs(t, run(t.Context(), []string{filepath.Join(t.TempDir(), "absent")}, new(bytes.Buffer)), os.ErrNotExist)
	})
	t.Run("two arguments", func(t *testing.T) {
		require.ErrorContains(t, run(t.Context(), []string{"a", "b"}, new(bytes.Buffer)), "expected at most one argument")
	})
}

func TestDefaultTree(t *testing.T) {
	tree, err := defaultTree(t.Context())
	require.NoError(t, err)
	files, total, err := count(tree)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, files, 500)
	assert.GreaterOrEqual(t, total, int64(10_000_000))
}

func TestSameTree(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, dir string)
		same   bool
	}{
		{"nothing", func(*testing.T, string) {}, true},
		{"contents", func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, "file"), "world", 0o644) }, false},
		{"an executable bit", func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, "file"), 0o755)) }, false},
		{"a name", func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(filepath.Join(dir, "file"), filepath.Join(dir, "other")))
		}, false},
		{"one file more", func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, "more"), "", 0o644) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := t.TempDir(), t.TempDir()
			for _, dir := range []string{a, b} {
				writeFile(t, filepath.Join(dir, "file"), "hello", 0o644)
			}
			tt.change(t, b)
			err := sameTree(t.Context(), a, b)
			if tt.same {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "differ")
			}
		})
	}
	t.Run("one that is not there", func(t *testing.T) {
		require.ErrorIs(t, sameTree(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "absent")), os.ErrNotExist)
	})
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 51_388_633: "51.4 MB", 4e9: "4000.0 MB"} {
		assert.Equal(t, want, size(n))
	}
}
