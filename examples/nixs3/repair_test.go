package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// filesOf returns the contents of the files of a folder.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(data)
		return err
	}))
	return files
}

func TestRepair(t *testing.T) {
	dir := copyOfCache(t)
	sound, store := filesOf(t, dir), fileURL(t, dir)
	damage(t, archiveFile(t, dir, hello))
	damage(t, narInfoFile(dir, wrapper))
	damage(t, filepath.Join(dir, "nix-cache-info"))
	damaged := filesOf(t, dir)
	args := []string{"repair", "--store", store, "--from", testCache(t), "--trusted-public-keys", publicKey(t)}

	got := nixs3(t, "", append(args, "--dry-run")...)
	assert.Contains(t, got.stderr, "to be mended")
	assert.Equal(t, damaged, filesOf(t, dir))

	got = nixs3(t, "", append(args, "--purge", "https://cdn.example.org")...)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Equal(t, sound, filesOf(t, dir))
	for _, key := range []string{"nix-cache-info", filepath.Base(wrapper)[:32] + ".narinfo"} {
		assert.Contains(t, got.stdout, "https://cdn.example.org/"+key+"\n")
	}
	assert.Equal(t, exitOK, nixs3(t, "", "verify", "--store", store).exit)
}

func TestRepairOfFindings(t *testing.T) {
	dir := copyOfCache(t)
	sound, store := filesOf(t, dir), fileURL(t, dir)
	damage(t, archiveFile(t, dir, hello))
	found := nixs3(t, "", "verify", "--store", store, "--json")
	require.Equal(t, exitFailed, found.exit)

	args := []string{"repair", "--store", store, "--from", testCache(t), "--findings"}
	require.Equal(t, exitOK, nixs3(t, found.stdout, append(args, "-")...).exit)
	assert.Equal(t, sound, filesOf(t, dir))

	for name, text := range map[string]string{"no JSON": "x\n", "unknown kind": `{"kind":"rust","key":"x"}` + "\n"} {
		file := filepath.Join(t.TempDir(), "findings")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		got := nixs3(t, "", append(args, file)...)
		assert.Equal(t, exitFailed, got.exit, name)
		assert.Contains(t, got.stderr, "line 1", name)
	}
}

func TestRepairThatCannotBe(t *testing.T) {
	dir, empty := copyOfCache(t), t.TempDir()
	damage(t, archiveFile(t, dir, hello))
	got := nixs3(t, "", "repair", "--store", fileURL(t, dir), "--from", fileURL(t, empty))
	assert.Equal(t, exitFailed, got.exit)
	assert.Contains(t, got.stderr, "no source has it")
}

func FuzzParseFindings(f *testing.F) {
	f.Add(`{"kind":"archive-missing","key":"nar/x.nar","path":"p4pclmv1gyja5kzc26npqpia1qqxrf0l-a"}` + "\n")
	f.Add("\n{}")
	f.Fuzz(func(t *testing.T, text string) {
		findings, err := parseFindings(strings.NewReader(text))
		for _, finding := range findings {
			if err == nil && !finding.Kind.Known() {
				t.Fatal(finding)
			}
		}
	})
}
