package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writtenCache returns the URL of a cache to which files were added, and their
// store path.
func writtenCache(t *testing.T, settings string) (url, path string) {
	dir := filepath.Join(t.TempDir(), "tools")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bin", "hello"), []byte("hello"), 0o755))
	require.NoError(t, os.Symlink("hello", filepath.Join(dir, "bin", "hi\n")))
	url = fileURL(t, t.TempDir())
	got := nixs3(t, "", "add", "--to", url+settings, dir)
	require.Equal(t, exitOK, got.exit, got.stderr)
	return url, strings.TrimSpace(got.stdout)
}

func TestIndexAndLocate(t *testing.T) {
	url, path := writtenCache(t, "?write-nar-listing=true")
	file := filepath.Join(t.TempDir(), "index")
	check(t, []command{
		{"before", []string{"locate", "--store", url, "hello"}, "", "", "nixs3 index makes one", exitFailed},
		{"no file", []string{"locate", "--file", file, "hello"}, "", "", "nixs3 index --file makes one", exitFailed},
		{"neither", []string{"locate", "hello"}, "", "", "--file", exitUsage},
		{"both", []string{"locate", "--store", url, "--file", file, "hello"}, "", "", "can't be used together", exitUsage},
		{"index", []string{"-q", "index", "--store", url}, "", "", "", exitOK},
		{"index in a file", []string{"index", "--store", url, "--file", file}, "", "", "1 paths indexed, 1 new", exitOK},
		{"base name", []string{"locate", "--store", url, "hello"}, "", path + "/bin/hello\n", "", exitOK},
		{"path", []string{"locate", "--file", file, "bin/hello"}, "", path + "/bin/hello\n", "", exitOK},
		{"wildcard", []string{"locate", "--store", url, "bin/h?*"}, "", path + "/bin/hello\n" + path + "/bin/hi\\n -> hello\n", "", exitOK},
		{"JSON", []string{"locate", "--store", url, "--json", "hello"}, "",
			`{"path":"` + path + `","file":"bin/hello","type":"regular","size":5,"executable":true}` + "\n", "", exitOK},
		{"nothing", []string{"locate", "--store", url, "absent"}, "", "", "no path has a file absent", exitFailed},
		{"malformed", []string{"locate", "--store", url, "["}, "", "", "syntax error in pattern", exitFailed},
		{"again", []string{"index", "--store", url}, "", "", "1 paths indexed, 0 new", exitOK},
	})
	got := nixs3(t, "", "-q", "index", "--store", url, "--json")
	assert.Equal(t, `{"index":"nixs3/index/files","paths":1,"added":0,"dropped":0,"unlisted":0,"failed":[],"bytes":0}`+"\n", got.stdout)
	assert.Equal(t, exitOK, nixs3(t, "", "verify", "--store", url, "--depth", "contents").exit)
}

func TestIndexWithoutListings(t *testing.T) {
	url, path := writtenCache(t, "")
	var report indexReport
	got := nixs3(t, "", "-q", "index", "--store", url, "--json")
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
	assert.Equal(t, 1, report.Unlisted)
	assert.Equal(t, exitOK, nixs3(t, "", "index", "--store", url, "--archives").exit)
	assert.Equal(t, path+"/bin/hello\n", nixs3(t, "", "locate", "--store", url, "hello").stdout)
}

func TestIndexOfABrokenListing(t *testing.T) {
	url, path := writtenCache(t, "?write-nar-listing=true")
	ls := filepath.Join(strings.TrimPrefix(url, "file://"), filepath.Base(path)[:32]+".ls")
	require.NoError(t, os.WriteFile(ls, []byte("{"), 0o644))
	got := nixs3(t, "", "-q", "index", "--store", url)
	assert.Equal(t, exitFailed, got.exit)
	assert.Contains(t, got.stderr, "1 paths could not be indexed")
}

func TestIndexOfPresence(t *testing.T) {
	url, path := writtenCache(t, "")
	secret := filepath.Join(t.TempDir(), "key.sec")
	key := nixs3(t, "", "key", "generate", "ci-1").stdout
	require.NoError(t, os.WriteFile(secret, []byte(key), 0o600))
	public := strings.TrimSpace(nixs3(t, key, "key", "public").stdout)
	check(t, []command{
		{"no key", []string{"index", "--store", url, "--presence", "ci"}, "", "", "expected a key to sign it with", exitFailed},
		{"a bad name", []string{"index", "--store", url, "--presence", "a b", "--sign-with", secret}, "", "", "without spaces", exitFailed},
		{"a long life", []string{"index", "--store", url, "--presence", "ci", "--expire", "8d", "--sign-with", secret}, "", "", "at most 168h", exitFailed},
		{"with archives", []string{"index", "--store", url, "--presence", "ci", "--archives"}, "", "", "expected neither", exitUsage},
		{"a key for nothing", []string{"index", "--store", url, "--sign-with", secret}, "", "", "expected --presence", exitUsage},
		{"published", []string{"index", "--store", url, "--presence", "ci", "--sign-with", secret}, "", "", "1 paths indexed", exitOK},
		{"a client without keys", []string{"path-info", "--store", url + "?presence=ci", path}, "", "", "expected trusted keys", exitFailed},
	})
	var report presenceReport
	got := nixs3(t, "", "-q", "index", "--store", url, "--presence", "ci", "--sign-with", secret, "--json")
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
	assert.Equal(t, 1, report.Paths)
	// The upstream has the path, but no signature of it.
	got = nixs3(t, "", "copy", "--from", url, "--to", fileURL(t, t.TempDir()), "--upstream", url+"?presence=ci="+public, path)
	assert.Equal(t, exitOK, got.exit, got.stderr)
}
