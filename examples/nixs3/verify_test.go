package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/verify"
)

// copyOfCache returns the directory of a copy of the cache in testdata, which
// the test may damage.
func copyOfCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/cache")))
	return dir
}

// narInfoFile returns the file of the narinfo of a full path.
func narInfoFile(dir, path string) string {
	return filepath.Join(dir, filepath.Base(path)[:32]+".narinfo")
}

// archiveFile returns the file of the archive of a full path.
func archiveFile(t *testing.T, dir, path string) string {
	t.Helper()
	text, err := os.ReadFile(narInfoFile(dir, path))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if url, ok := strings.CutPrefix(line, "URL: "); ok {
			return filepath.Join(dir, strings.TrimSpace(url))
		}
	}
	t.Fatal("the narinfo has no URL")
	return ""
}

// damage flips a byte in the middle of a file.
func damage(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.Chmod(file, 0o644))
	require.NoError(t, os.WriteFile(file, data, 0o644))
}

func TestVerifyStatuses(t *testing.T) {
	dir := copyOfCache(t)
	store := fileURL(t, dir)
	require.Equal(t, exitOK, nixs3(t, "", "verify", "--store", store, "--trusted-public-keys", publicKey(t)).exit)

	damage(t, archiveFile(t, dir, hello))
	got := nixs3(t, "", "verify", "--store", store)
	assert.Equal(t, exitFailed, got.exit)
	assert.Contains(t, got.stdout, "archive-file-hash")
	assert.Contains(t, got.stdout, "mend: refetch")
	assert.Equal(t, exitOK, nixs3(t, "", "verify", "--store", store, "--depth", "metadata").exit)
	assert.Equal(t, exitFailed, nixs3(t, "", "verify", "--store", store, wrapper).exit, "its closure has the damage")

	got = nixs3(t, "", "verify", "--store", store, "--json")
	for line := range strings.Lines(got.stdout) {
		var f struct {
			verify.Finding
			Remedy verify.Remedy
		}
		require.NoError(t, json.Unmarshal([]byte(line), &f))
		assert.True(t, f.Kind.Known())
		assert.Equal(t, f.Kind.Remedy(), f.Remedy)
	}
	var ignore []string
	for line := range strings.Lines(nixs3(t, "", "verify", "--store", store).stdout) {
		kind, _, _ := strings.Cut(line, " ")
		ignore = append(ignore, "--ignore", kind)
	}
	assert.Equal(t, exitOK, nixs3(t, "", append([]string{"verify", "--store", store}, ignore...)...).exit)

	assert.Equal(t, int(exitUnknown), nixs3(t, "", "verify", "--store", "http://127.0.0.1:1").exit, "a server that does not answer")
	assert.Equal(t, int(exitUnknown), nixs3(t, "", "verify", "--store", store+"?compresion=xz").exit)
}

func TestVerifyADamagedDescription(t *testing.T) {
	dir := copyOfCache(t)
	damage(t, filepath.Join(dir, "nix-cache-info"))
	got := nixs3(t, "", "verify", "--store", fileURL(t, dir))
	assert.Equal(t, exitFailed, got.exit)
	assert.Contains(t, got.stdout, "cache-info-invalid")
}

func TestVerifyUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"depth":        {"--depth", "deep"},
		"shard":        {"--shard", "0/3"},
		"sample":       {"--sample", "200%"},
		"since":        {"--since", "yesterday"},
		"kind":         {"--ignore", "nothing"},
		"paths, shard": {"--shard", "1/3", hello},
	} {
		got := nixs3(t, "", append([]string{"verify", "--store", testCache(t)}, args...)...)
		assert.Equal(t, exitUsage, got.exit, name)
	}
}

func TestVerifyTellsTheCost(t *testing.T) {
	got := nixs3(t, "", "verify", "--store", testCache(t), "--dry-run")
	assert.Equal(t, exitOK, got.exit)
	assert.Contains(t, got.stderr, "3 paths")
	assert.Contains(t, got.stderr, "requests")
	assert.Empty(t, got.stdout)
}

func TestVerifyJournal(t *testing.T) {
	dir := copyOfCache(t)
	damage(t, archiveFile(t, dir, hello))
	journal := filepath.Join(t.TempDir(), "journal")
	args := []string{"verify", "--store", fileURL(t, dir), "--journal", journal}
	first := nixs3(t, "", args...)
	data, err := os.ReadFile(journal)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(journal, data[:len(data)-5], 0o644), "as a killed run leaves it")
	second := nixs3(t, "", args...)
	third := nixs3(t, "", args...)
	for _, again := range []result{second, third} {
		assert.ElementsMatch(t, strings.Split(first.stdout, "\n"), strings.Split(again.stdout, "\n"))
		assert.Equal(t, exitFailed, again.exit)
	}
	assert.Contains(t, third.stderr, "3 of them known from the journal")
}

func FuzzVerifyFlags(f *testing.F) {
	for _, text := range []string{"1%", "0.5", "NaN", "36h", "2026-11-25", "2026-11-25T16:00:00Z", "10M", "M", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var share shareFlag
		if share.UnmarshalText([]byte(text)) == nil && !(share > 0 && share <= 1) {
			t.Fatal(share)
		}
		var rate bandwidthFlag
		if rate.UnmarshalText([]byte(text)) == nil && rate <= 0 {
			t.Fatal(rate)
		}
		var since timeFlag
		_ = since.UnmarshalText([]byte(text))
	})
}
