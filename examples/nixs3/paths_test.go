package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// link makes a symbolic link in a new folder and returns its name.
func link(t *testing.T, target string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "result")
	require.NoError(t, os.Symlink(target, name))
	return name
}

func TestPathsAsPeopleHaveThem(t *testing.T) {
	cache := testCache(t)
	direct := link(t, hello)
	indirect := link(t, direct)
	loop := filepath.Join(t.TempDir(), "loop")
	require.NoError(t, os.Symlink(loop, loop))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	relative := filepath.Join(filepath.Dir(direct), "relative")
	require.NoError(t, os.Symlink("result", relative))
	info := func(args ...string) []string { return append([]string{"path-info", "--store", cache}, args...) }
	check(t, []command{
		{"a link", info(direct), "", hello + "\n", "", exitOK},
		{"a link to a link", info(indirect), "", hello + "\n", "", exitOK},
		{"a relative link", info(relative), "", hello + "\n", "", exitOK},
		{"a file through a link", []string{"cat", "--store", cache, direct + "/bin/hello"}, "", "#!/bin/sh\necho hello\n", "", exitOK},
		{"a link that goes round", info(loop), "", "", "/nix/store", exitFailed},
		{"a file elsewhere", info(file), "", "", "/nix/store", exitFailed},
		{"a word", info("result"), "", "", "expected a store path, its base name or hash part, or a link into /nix/store", exitFailed},
		{"standard input", info("--stdin"), wrapper + "\n\n" + hello + "\n", wrapper + "\n" + hello + "\n", "", exitOK},
		{"a dash", info("-", wrapper), hello, wrapper + "\n" + hello + "\n", "", exitOK},
		{"several in one argument", info(wrapper + " " + hello), "", wrapper + "\n" + hello + "\n", "", exitOK},
		{"nothing on standard input", info("--stdin"), "", "", "", exitOK},
		{"all and standard input", info("--all", "--stdin"), "", "", "expected either --all or paths", exitUsage},
		{"a folder for a cache", []string{"path-info", "--store", "./testdata/cache", hello}, "", hello + "\n", "", exitOK},
		{"a folder with parameters", []string{"path-info", "--store", "./testdata/cache?priority=7", hello}, "", hello + "\n", "", exitOK},
		{"a folder without cache or store", []string{"path-info", "--store", "./testdata", hello}, "", "", "opening local?root=./testdata", exitFailed},
	})
}

func TestHooksWithoutPaths(t *testing.T) {
	to := filepath.Join(t.TempDir(), "cache")
	copying := []string{"copy", "--quiet", "--from", testCache(t), "--to", to}
	assert.Equal(t, exitUsage, nixs3(t, "", copying...).exit, "outside of a hook")
	assert.Equal(t, result{}, nixs3(t, "", append(copying, "--stdin")...))
	assert.Equal(t, result{}, nixs3(t, "", append(copying, "")...), "a quoted $OUT_PATHS")
	t.Setenv("OUT_PATHS", "")
	assert.Equal(t, result{}, nixs3(t, "", copying...), "an unquoted $OUT_PATHS")
	assert.NoDirExists(t, to)
}

func TestPathInfoColumns(t *testing.T) {
	got := nixs3(t, "", "path-info", "--store", testCache(t), "-r", "-s", "-S", "-h", "--sigs", wrapper)
	require.Equal(t, exitOK, got.exit, got.stderr)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 2)
	for i, path := range []string{wrapper, hello} {
		columns := strings.Split(lines[i], "\t")
		require.Len(t, columns, 4, lines[i])
		assert.Equal(t, path, strings.TrimSpace(columns[0]))
		assert.Regexp(t, `^ *[0-9.]+ (KiB|B)$`, columns[1])
		assert.Regexp(t, `^ *[0-9.]+ (KiB|B)$`, columns[2])
		assert.Contains(t, columns[3], "lab-cache-1:")
	}
	assert.Regexp(t, `\t +\d+$`, strings.TrimSpace(nixs3(t, "", "path-info", "--store", testCache(t), "-s", hello).stdout))
}
