package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/gc"
)

// collected makes a cache to collect, with a root on hello.
func collected(t *testing.T) (dir, url string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "cache")
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/cache")))
	url = fileURL(t, dir)
	got := nixs3(t, "", "root", "set", "--store", url, "--note", "by hand", "hosts/web1", hello)
	require.Equal(t, exitOK, got.exit, got.stderr)
	return dir, url
}

func TestRootCommands(t *testing.T) {
	_, url := collected(t)
	list := filepath.Join(t.TempDir(), "roots")
	require.NoError(t, os.WriteFile(list, []byte("/x -> "+wrapper+"\n"), 0o644))
	check(t, []command{
		{"set from a file and standard input", []string{"root", "set", "--store", url, "--expire", "30d", "--from", list, "ci/main/1", "-"}, env + "\n", "", "", exitOK},
		{"a path that is not there", []string{"root", "set", "--store", url, "x", absent}, "", "", "is not in", exitFailed},
		{"a bad name", []string{"root", "set", "--store", url, "a//b", hello}, "", "", "expected elements between single slashes", exitFailed},
		{"a bad time", []string{"root", "set", "--store", url, "--expire", "soon", "x", hello}, "", "", "expected a duration such as 90m, 36h, 30d or 4w", exitUsage},
		{"bad lines", []string{"root", "set", "--store", url, "x", "-"}, "nonsense\n", "", "standard input: line 1", exitFailed},
		{"remove what is not there", []string{"root", "remove", "--store", url, "x"}, "", "", `root "x"`, exitFailed},
	})
	got := nixs3(t, "", "root", "list", "--store", url)
	assert.Regexp(t, `(?m)^ci/main/1 +set .* expires 2.* /nix/store/.* and 1 more`, got.stdout)
	assert.Regexp(t, `(?m)^hosts/web1 +set .* expires never .*by hand`, got.stdout)
	got = nixs3(t, "", "root", "list", "--store", url, "--json")
	var first rootResult
	require.NoError(t, json.NewDecoder(strings.NewReader(got.stdout)).Decode(&first))
	assert.Equal(t, "ci/main/1", first.Name)
	assert.ElementsMatch(t, []string{wrapper, env}, first.Paths)
	check(t, []command{
		{"remove", []string{"root", "remove", "--store", url, "ci/main/1", "hosts/web1"}, "", "", "", exitOK},
		{"none is left", []string{"root", "list", "--store", url}, "", "", "", exitOK},
	})
}

func TestUploadWithRoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	url := fileURL(t, dir)
	got := nixs3(t, "", "copy", "--from", testCache(t), "--to", url, "--root", "ci/main/1", "--root-expire", "30d", wrapper)
	require.Equal(t, exitOK, got.exit, got.stderr)
	got = nixs3(t, "", "add", "--to", url, "--root", "files", "gc.go", "gc_test.go")
	require.Equal(t, exitOK, got.exit, got.stderr)
	added := strings.Fields(got.stdout)
	got = nixs3(t, "", "root", "list", "--store", url, "--json")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 2)
	var roots [2]rootResult
	for i := range roots {
		require.NoError(t, json.Unmarshal([]byte(lines[i]), &roots[i]))
	}
	assert.Equal(t, "ci/main/1", roots[0].Name)
	assert.Equal(t, []string{wrapper}, roots[0].Paths)
	assert.False(t, roots[0].Expires.IsZero())
	assert.Equal(t, added, roots[1].Paths)
	check(t, []command{
		{"all", []string{"copy", "--from", testCache(t), "--to", url, "--root", "x", "--all"}, "", "", "--root: expected store paths", exitFailed},
	})
}

func TestGC(t *testing.T) {
	_, url := collected(t)
	all := nixs3(t, "", "path-info", "--store", url, "--all").stdout
	got := nixs3(t, "", "gc", "--store", url, "--dry-run", "--recent", "0")
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Contains(t, got.stdout, "would go    2 paths")
	assert.Equal(t, all, nixs3(t, "", "path-info", "--store", url, "--all").stdout)

	got = nixs3(t, "", "gc", "--store", url, "--recent", "0", "--json")
	require.Equal(t, exitOK, got.exit, got.stderr)
	var report gc.Report
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
	assert.Equal(t, 2, report.Gone.Paths)
	assert.Equal(t, hello+"\n", nixs3(t, "", "path-info", "--store", url, "--all").stdout)

	got = nixs3(t, "", "gc", "list", "--store", url, "--json")
	assert.Equal(t, 2, strings.Count(got.stdout, `"run":"`+report.Run+`"`))
	got = nixs3(t, "", "gc", "list", "--store", url)
	assert.Contains(t, got.stdout, report.Run+"  until 2")
	got = nixs3(t, "", "gc", "undo", "--store", url, report.Run)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.ElementsMatch(t, []string{wrapper, env}, strings.Fields(got.stdout))
	assert.Equal(t, all, nixs3(t, "", "path-info", "--store", url, "--all").stdout)
	got = nixs3(t, "", "gc", "undo", "--store", url, report.Run)
	assert.Equal(t, "all paths of the run "+report.Run+" are visible already\n", got.stderr)
	check(t, []command{
		{"a run that never was", []string{"gc", "undo", "--store", url, "x"}, "", "", "no journal of the run", exitFailed},
		{"a manifest of a directory", []string{"gc", "--store", url, "--manifest", filepath.Join(t.TempDir(), "m")}, "", "", "expected a cache in S3", exitFailed},
		{"an inventory of a directory", []string{"gc", "--store", url, "--inventory", "s3://b/manifest.json"}, "", "", "expected a cache in S3", exitFailed},
		{"a bad group", []string{"gc", "--store", url, "--keep", "ci=-1"}, "", "", "not negative", exitUsage},
		{"a root that is not there", []string{"gc", "--store", url, "--root", absent}, "", "", "no root is in the cache", exitFailed},
	})
	t.Run("without roots", func(t *testing.T) {
		require.Equal(t, exitOK, nixs3(t, "", "root", "remove", "--store", url, "hosts/web1").exit)
		got := nixs3(t, "", "gc", "--store", url, "--recent", "0")
		assert.Equal(t, exitFailed, got.exit)
		assert.Contains(t, got.stderr, "the cache has no roots")
		assert.Equal(t, all, nixs3(t, "", "path-info", "--store", url, "--all").stdout)
		got = nixs3(t, "", "gc", "--store", url, "--recent", "0", "--no-roots")
		require.Equal(t, exitOK, got.exit, got.stderr)
		assert.Empty(t, nixs3(t, "", "path-info", "--store", url, "--all").stdout)
	})
}

// A narinfo that cannot be read might refer to anything.
func TestGCBroken(t *testing.T) {
	dir, url := collected(t)
	broken := "00000000000000000000000000000000.narinfo"
	require.NoError(t, os.WriteFile(filepath.Join(dir, broken), []byte("StorePath: "+wrapper), 0o644))
	got := nixs3(t, "", "gc", "--store", url, "--recent", "0")
	assert.Equal(t, exitFailed, got.exit)
	assert.Contains(t, got.stderr, broken)
	assert.Contains(t, got.stderr, "--broken keep")
	got = nixs3(t, "", "gc", "--store", url, "--recent", "0", "--broken", "keep")
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.FileExists(t, filepath.Join(dir, broken))
	assert.FileExists(t, filepath.Join(dir, wrapper[len("/nix/store/"):][:32]+".narinfo"), "the broken one mentions it")
	assert.NoFileExists(t, filepath.Join(dir, env[len("/nix/store/"):][:32]+".narinfo"))
}

func TestStatsAndDelete(t *testing.T) {
	_, url := collected(t)
	got := nixs3(t, "", "stats", "--store", url)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Regexp(t, `(?m)^ *narinfo +3 `, got.stdout)
	assert.Regexp(t, `(?m)^ *no root keeps +2 `, got.stdout)
	assert.Regexp(t, `(?m)^ *incomplete closures +0 `, got.stdout)
	assert.Regexp(t, `(?m)^ *archives without a narinfo +0 `, got.stdout)
	assert.Regexp(t, `(?m)^ *narinfos without an archive +0 `, got.stdout)
	got = nixs3(t, "", "stats", "--store", url, "--json")
	assert.Contains(t, got.stdout, `"incomplete":[]`)
	assert.Contains(t, got.stdout, `"unrooted":{"paths":2`)
	got = nixs3(t, "", "delete", "--store", url, env)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Equal(t, env+"\n", got.stdout)
	check(t, []command{
		{"referred to", []string{"delete", "--store", url, hello}, "", "", "other paths refer to it, such as ", exitFailed},
		{"kept by a root", []string{"delete", "--store", url, "--referrers", hello}, "", "", "a root or a writer at work needs", exitFailed},
		{"not there", []string{"delete", "--store", url, absent}, "", "", "is not in", exitFailed},
	})
}
