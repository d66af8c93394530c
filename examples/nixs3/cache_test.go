package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
)

// The cache in testdata was written by Nix and has these paths.
const (
	hello   = "/nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0"
	wrapper = "/nix/store/a6qzp68m5h3sa7v283h5l0250s2ccj7g-wrapper-1.0" // refers to hello
	env     = "/nix/store/kl9gp1xzkp96l1mskhm80gs7pxb45yj3-env"         // refers to both
	absent  = "/nix/store/00000000000000000000000000000000-absent"
)

func fileURL(t *testing.T, dir string) string {
	t.Helper()
	abs, err := filepath.Abs(dir)
	require.NoError(t, err)
	return "file://" + filepath.ToSlash(abs)
}

func testCache(t *testing.T) string { return fileURL(t, "testdata/cache") }

func publicKey(t *testing.T) string {
	t.Helper()
	key, err := os.ReadFile("testdata/lab-cache-1.pub")
	require.NoError(t, err)
	return string(key)
}

func TestPathInfo(t *testing.T) {
	cache := testCache(t)
	check(t, []command{
		{"full path", []string{"path-info", "--store", cache, hello}, "", hello + "\n", "", exitOK},
		{"base name", []string{"path-info", "--store", cache, filepath.Base(hello)}, "", hello + "\n", "", exitOK},
		{"hash part", []string{"path-info", "--store", cache, filepath.Base(hello)[:32]}, "", hello + "\n", "", exitOK},
		{"several, in their order", []string{"path-info", "--store", cache, wrapper, hello}, "", wrapper + "\n" + hello + "\n", "", exitOK},
		{"twice is once", []string{"path-info", "--store", cache, wrapper, hello, wrapper}, "", wrapper + "\n" + hello + "\n", "", exitOK},
		{"all, sorted", []string{"path-info", "--store", cache, "--all"}, "", wrapper + "\n" + hello + "\n" + env + "\n", "", exitOK},
		{"not in the cache, as JSON", []string{"path-info", "--store", cache, "--json", "--json-format", "array", absent}, "", `[{"path":"` + absent + `","valid":false}]` + "\n", "", exitOK},
		{"not in the cache", []string{"path-info", "--store", cache, absent}, "", "", "has no store path with the hash part 00000000000000000000000000000000\n", exitFailed},
		{"a file in a path", []string{"path-info", "--store", cache, hello + "/bin"}, "", "", "expected a store path", exitFailed},
		{"of another store directory", []string{"path-info", "--store", cache, "/gnu/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0"}, "", "", "/nix/store", exitFailed},
		{"no path", []string{"path-info", "--store", cache}, "", "", "expected store paths, --stdin or --all", exitUsage},
		{"all and one", []string{"path-info", "--store", cache, "--all", hello}, "", "", "expected either --all or paths", exitUsage},
		{"no store", []string{"path-info", hello}, "", "", "--store=URL", exitUsage},
		{"no URL", []string{"path-info", "--store", "testdata", hello}, "", "", "file://", exitFailed},
		{"an unknown parameter", []string{"path-info", "--store", cache + "?compresion=xz", hello}, "", "", "compression", exitFailed},
	})
}

func TestPathInfoJSON(t *testing.T) {
	for _, format := range []string{"array", "1", "2", "3"} {
		t.Run(format, func(t *testing.T) {
			got := nixs3(t, "", "path-info", "--store", testCache(t), "--json", "--json-format", format, wrapper, hello)
			require.Equal(t, exitOK, got.exit, got.stderr)
			assert.True(t, json.Valid([]byte(got.stdout)))
			assert.Equal(t, format == "array", strings.HasPrefix(got.stdout, "["))
			records, err := narinfo.ParseRecords([]byte(got.stdout))
			require.NoError(t, err)
			require.Len(t, records, 2)
			for _, r := range records {
				text, err := os.ReadFile("testdata/cache/" + r.NarInfo.Path.HashPart() + ".narinfo")
				require.NoError(t, err)
				info, err := narinfo.Parse(text)
				require.NoError(t, err)
				assert.True(t, info.PathInfo.Equal(&r.NarInfo.PathInfo))
			}
		})
	}
}

func TestLs(t *testing.T) {
	cache := testCache(t)
	check(t, []command{
		{"a store path", []string{"ls", "--store", cache, hello}, "", "./bin\n./share\n", "", exitOK},
		{"a folder by hash part", []string{"ls", "--store", cache, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6/bin"}, "", "./hello\n./hi\n./readme-link\n", "", exitOK},
		{"a file", []string{"ls", "--store", cache, "-l", hello + "/bin/hello"}, "", "-r-xr-xr-x                   21 hello\n", "", exitOK},
		{"recursive", []string{"ls", "--store", cache, "-R", hello + "/share"}, "",
			"./doc\n./doc/hello\n./doc/hello/README\n./empty-dir\n./empty-file\n", "", exitOK},
		{"json", []string{"ls", "--store", cache, "--json", "-R", hello + "/share/doc"}, "",
			`{"type":"directory","entries":{"hello":{"type":"directory","entries":{"README":{"type":"regular","size":5,"narOffset":1464}}}}}` + "\n", "", exitOK},
		{"nothing there", []string{"ls", "--store", cache, hello + "/lib"}, "", "", `there is no "lib"`, exitFailed},
		{"not in the cache", []string{"ls", "--store", cache, absent}, "", "", "has no store path with the hash part 00000000000000000000000000000000\n", exitFailed},
	})
}

func TestCat(t *testing.T) {
	cache := testCache(t)
	const text = "#!/bin/sh\necho hello\n"
	check(t, []command{
		{"a file", []string{"cat", "--store", cache, hello + "/bin/hello"}, "", text, "", exitOK},
		{"by hash part", []string{"cat", "--store", cache, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6/bin/hello"}, "", text, "", exitOK},
		{"signed", []string{"cat", "--store", cache, "--trusted-public-keys", publicKey(t), hello + "/bin/hello"}, "", text, "", exitOK},
		{"not signed by that key", []string{"cat", "--store", cache, "--trusted-public-keys", "x:" + strings.SplitN(publicKey(t), ":", 2)[1], hello + "/bin/hello"},
			"", "", "not signed by a trusted key", exitFailed},
		{"a folder", []string{"cat", "--store", cache, hello + "/bin"}, "", "", "expected a regular file", exitFailed},
		{"nothing there", []string{"cat", "--store", cache, hello + "/nope"}, "", "", `there is no "nope"`, exitFailed},
	})
}

func TestCatVerifiesTheWholeArchive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/cache")))
	// The archive of wrapper, under hello's narinfo: the file is there, but
	// the whole is not what hello's narinfo says.
	name := filepath.Join(dir, filepath.Base(hello)[:32]+".narinfo")
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	other, err := os.ReadFile(filepath.Join(dir, filepath.Base(wrapper)[:32]+".narinfo"))
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	for i, line := range strings.Split(string(other), "\n") {
		if strings.HasPrefix(line, "URL:") || strings.HasPrefix(line, "File") || strings.HasPrefix(line, "NarSize") {
			lines[i] = line
		}
	}
	require.NoError(t, os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o644))

	got := nixs3(t, "", "cat", "--store", fileURL(t, dir), hello+"/bin/wrapped")
	assert.Equal(t, exitFailed, got.exit)
	assert.Contains(t, got.stderr, "NarHash mismatch")
	assert.Empty(t, got.stdout, "before it is verified")
}

// What local-nar-cache keeps is read again without the archive in the cache.
func TestLocalNARCache(t *testing.T) {
	for _, command := range []string{"cat", "ls"} {
		t.Run(command, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/cache")))
			listings, err := filepath.Glob(filepath.Join(dir, "*.ls"))
			require.NoError(t, err)
			for _, name := range listings {
				require.NoError(t, os.Remove(name))
			}
			url := fileURL(t, dir) + "?local-nar-cache=" + filepath.ToSlash(t.TempDir())
			first := nixs3(t, "", command, "--store", url, hello+"/bin/hello")
			require.Equal(t, exitOK, first.exit, first.stderr)
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "nar")))
			again := nixs3(t, "", command, "--store", url, hello+"/bin/hello")
			require.Equal(t, exitOK, again.exit, again.stderr)
			assert.Equal(t, first.stdout, again.stdout)
		})
	}
}

// References are those of the given paths that the contents mention.
func TestAddFindsReferences(t *testing.T) {
	cache := fileURL(t, filepath.Join(t.TempDir(), "cache"))
	leaf, script := filepath.Join(t.TempDir(), "leaf"), filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(leaf, []byte("leaf\n"), 0o644))
	got := nixs3(t, "", "add", "--to", cache, leaf)
	require.Equal(t, exitOK, got.exit, got.stderr)
	added := strings.TrimSpace(got.stdout)
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\ncat "+added+"\n"), 0o755))
	got = nixs3(t, "", "add", "--to", cache, "--json", "--find-references", added, "--find-references", hello, script)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Contains(t, got.stdout, added)
	assert.NotContains(t, got.stdout, hello)
	got = nixs3(t, "", "add", "--to", cache, "--find-references", "hello", script)
	assert.Equal(t, exitFailed, got.exit)
	assert.Contains(t, got.stderr, "--find-references")
}

func TestAdd(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "tree")
	require.NoError(t, os.Mkdir(tree, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "a"), []byte("hi\n"), 0o644))
	cache := fileURL(t, filepath.Join(t.TempDir(), "cache"))
	// As "nix store add-path" names it.
	const path = "/nix/store/l4kfad8bgk1j5qfhj0nrk8cs97bl036j-foo"

	check(t, []command{
		{"signed", []string{"add", "--to", cache, "--name", "foo", "--sign-with", "testdata/lab-cache-1.sec", tree}, "", path + "\n", "", exitOK},
		{"again", []string{"add", "--to", cache, "--name", "foo", tree}, "", path + "\n", "", exitOK},
		{"is there", []string{"cat", "--store", cache, "--trusted-public-keys", publicKey(t), path + "/a"}, "", "hi\n", "", exitOK},
		{"a missing file", []string{"add", "--to", cache, "testdata/none"}, "", "", "testdata/none", exitFailed},
		{"a missing key", []string{"add", "--to", cache, "--sign-with", "testdata/none", tree}, "", "", "testdata/none", exitFailed},
		{"a public key", []string{"add", "--to", cache, "--sign-with", "testdata/lab-cache-1.pub", tree}, "", "", "lab-cache-1.pub", exitFailed},
		{"a name in another alphabet", []string{"add", "--to", cache, "--name", "ä", tree}, "", "", "name has 'ä' at offset 0", exitFailed},
		{"a bad name", []string{"add", "--to", cache, "--name", "a b", tree}, "", "", "allowed are 0-9a-zA-Z", exitFailed},
	})
	t.Run("the signature is there", func(t *testing.T) {
		text := nixs3(t, "", "path-info", "--store", cache, "--json", path)
		assert.Contains(t, text.stdout, `"signatures":["lab-cache-1:`)
	})
	t.Run("named after the file", func(t *testing.T) {
		got := nixs3(t, "", "add", "--to", cache, tree)
		assert.Regexp(t, `^/nix/store/[0-9a-z]{32}-tree\n$`, got.stdout)
	})
}

func TestCopy(t *testing.T) {
	from := testCache(t)
	fresh := func() string { return fileURL(t, filepath.Join(t.TempDir(), "cache")) }
	copied := func(t *testing.T, to string) string {
		t.Helper()
		return nixs3(t, "", "path-info", "--store", to, "--all").stdout
	}

	t.Run("closure", func(t *testing.T) {
		to := fresh()
		got := nixs3(t, "", "copy", "--from", from, "--to", to, "--trusted-public-keys", publicKey(t), "a6qzp68m5h3sa7v283h5l0250s2ccj7g")
		require.Equal(t, exitOK, got.exit, got.stderr)
		assert.Empty(t, got.stdout)
		assert.Contains(t, got.stderr, "2 of 2 paths copied, 0 there already")
		assert.Equal(t, wrapper+"\n"+hello+"\n", copied(t, to))
	})
	t.Run("all, then nothing to do", func(t *testing.T) {
		to := fresh()
		got := nixs3(t, "", "copy", "--from", from, "--to", to, "--all")
		require.Equal(t, exitOK, got.exit, got.stderr)
		assert.Equal(t, wrapper+"\n"+hello+"\n"+env+"\n", copied(t, to))
		got = nixs3(t, "", "copy", "--from", from, "--to", to, "--all")
		require.Equal(t, exitOK, got.exit, got.stderr)
		assert.Contains(t, got.stderr, "0 of 3 paths copied, 3 there already")
	})
	check(t, []command{
		{"a path that is not there", []string{"copy", "--from", from, "--to", fresh(), absent}, "", "", absent + " in " + from + ": not found", exitFailed},
		{"no such local store", []string{"copy", "--from", "local?root=testdata/none", "--to", fresh(), "--all"}, "", "", "testdata/none", exitFailed},
		{"a parameter that a local store lacks", []string{"copy", "--from", "local?rooot=x", "--to", fresh(), "--all"}, "", "", "rooot", exitFailed},
		{"no destination", []string{"copy", "--from", from, "--all"}, "", "", "--to=URL", exitUsage},
	})
	t.Run("dry run", func(t *testing.T) {
		to := fresh()
		got := nixs3(t, "", "copy", "--from", from, "--to", to, "--dry-run", wrapper)
		require.Equal(t, exitOK, got.exit, got.stderr)
		assert.ElementsMatch(t, []string{hello, wrapper}, strings.Fields(got.stdout))
		assert.Contains(t, got.stderr, "2 of 2 paths would be copied")
		assert.Empty(t, copied(t, to))
	})
	t.Run("signed anew", func(t *testing.T) {
		to := fresh()
		key := filepath.Join(t.TempDir(), "key")
		secret := nixs3(t, "", "key", "generate", "new-1").stdout
		require.NoError(t, os.WriteFile(key, []byte(secret), 0o600))
		got := nixs3(t, "", "copy", "--from", from, "--to", to, "--sign-with", key, hello)
		require.Equal(t, exitOK, got.exit, got.stderr)
		public := strings.TrimSpace(nixs3(t, secret, "key", "public").stdout)
		for _, trusted := range []string{public, publicKey(t)} {
			got := nixs3(t, "", "cat", "--store", to, "--trusted-public-keys", trusted, hello+"/bin/hello")
			assert.Equal(t, exitOK, got.exit, got.stderr)
		}
	})
	t.Run("going on past what is broken", func(t *testing.T) {
		broken := filepath.Join(t.TempDir(), "broken")
		require.NoError(t, os.CopyFS(broken, os.DirFS("testdata/cache")))
		require.NoError(t, os.Remove(filepath.Join(broken, strings.TrimPrefix(helloNAR, "testdata/cache/"))))
		require.NoError(t, os.WriteFile(filepath.Join(broken, "tree"), nil, 0o644))
		to := fresh()
		got := nixs3(t, "", "copy", "--from", fileURL(t, broken), "--to", to, "--keep-going", "--all")
		assert.Equal(t, exitFailed, got.exit)
		assert.Contains(t, got.stderr, "0 of 3 paths copied", "both others need it")
		assert.Contains(t, got.stderr, "the first: archive of jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0: ")
		assert.Empty(t, copied(t, to))
	})
	t.Run("untrusted", func(t *testing.T) {
		to := fresh()
		got := nixs3(t, "", "copy", "--from", from, "--to", to, "--trusted-public-keys", "x:"+strings.SplitN(publicKey(t), ":", 2)[1], hello)
		assert.Equal(t, exitFailed, got.exit)
		assert.Contains(t, got.stderr, "not signed by a trusted key")
		assert.Empty(t, copied(t, to))
	})
}
