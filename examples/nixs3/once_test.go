package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// damages are ways in which a copy of the test cache is broken.
var damages = map[string]func(t *testing.T, dir string){
	"whole": func(*testing.T, string) {},
	"empty": func(t *testing.T, dir string) {
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.Mkdir(dir, 0o755))
	},
	"no such folder": func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) },
	"a file": func(t *testing.T, dir string) {
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.WriteFile(dir, nil, 0o600))
	},
	"no narinfo":      func(t *testing.T, dir string) { remove(t, dir, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6.narinfo") },
	"damaged narinfo": func(t *testing.T, dir string) { overwrite(t, dir, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6.narinfo", "x") },
	"folder for a narinfo": func(t *testing.T, dir string) {
		remove(t, dir, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6.narinfo")
		require.NoError(t, os.Mkdir(filepath.Join(dir, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6.narinfo"), 0o755))
	},
	"another's narinfo": func(t *testing.T, dir string) {
		text, err := os.ReadFile(filepath.Join(dir, "a6qzp68m5h3sa7v283h5l0250s2ccj7g.narinfo"))
		require.NoError(t, err)
		overwrite(t, dir, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6.narinfo", string(text))
	},
	"another NarHash": func(t *testing.T, dir string) {
		file := filepath.Join(dir, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6.narinfo")
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		text = regexp.MustCompile(`NarHash: sha256:.`).ReplaceAll(text, []byte("NarHash: sha256:0"))
		overwrite(t, dir, filepath.Base(file), string(text))
	},
	"no archive": func(t *testing.T, dir string) { remove(t, dir, "nar/"+filepath.Base(helloNAR)) },
	"damaged archive": func(t *testing.T, dir string) {
		overwrite(t, dir, "nar/"+filepath.Base(helloNAR), strings.Repeat("x", 366))
	},
	"short archive":       func(t *testing.T, dir string) { overwrite(t, dir, "nar/"+filepath.Base(helloNAR), "x") },
	"no listing":          func(t *testing.T, dir string) { remove(t, dir, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6.ls") },
	"damaged listing":     func(t *testing.T, dir string) { overwrite(t, dir, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6.ls", "x") },
	"another store":       func(t *testing.T, dir string) { overwrite(t, dir, "nix-cache-info", "StoreDir: /gnu/store\n") },
	"damaged description": func(t *testing.T, dir string) { overwrite(t, dir, "nix-cache-info", "x") },
}

func remove(t *testing.T, dir, name string) {
	require.NoError(t, os.Remove(filepath.Join(dir, filepath.FromSlash(name))))
}

func overwrite(t *testing.T, dir, name, text string) {
	remove(t, dir, name)
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o600))
}

// onceCommands are the commands of the test. from is a store, to a fresh folder,
// path a store path and broken a cache to write to.
func onceCommands(t *testing.T, from, path string) [][]string {
	dir := t.TempDir()
	to, key := filepath.Join(dir, "to"), filepath.Join(dir, "key")
	require.NoError(t, os.WriteFile(key, []byte(nixs3(t, "", "key", "generate", "new-1").stdout), 0o600))
	const other = "x:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	return [][]string{
		{"path-info", "--store", from, path},
		{"path-info", "--store", from, "-rS", path},
		{"path-info", "--store", from, "--all", "--json"},
		{"path-info", "--store", from, filepath.Base(path)[:32]},
		{"ls", "--store", from, path + "/nothing"},
		{"ls", "--store", from, "--trusted-public-keys", other, path},
		{"cat", "--store", from, path + "/nothing"},
		{"cat", "--store", from, path + "/bin"},
		{"cat", "--store", from, "--verified", path + "/bin/hello"},
		{"cat", "--store", from, "--trusted-public-keys", other, path + "/bin/hello"},
		{"fetch", "--from", from, path, to + "1"},
		{"fetch", "--from", from, path, from + "/x/y"},
		{"fetch", "--from", from, "--nar", path},
		{"fetch", "--from", from, "--closure", path, to + "2"},
		{"fetch", "--from", from, "--trusted-public-keys", other, path, to + "3"},
		{"diff", "--store", from, path, env},
		{"du", "--store", from, path},
		{"log", "get", "--store", from, path},
		{"log", "get", "--store", from, path + ".drv"},
		{"log", "put", "--to", from, path, key},
		{"realisation", "get", "--store", from, "sha256:" + strings.Repeat("0", 64) + "!out"},
		{"copy", "--from", from, "--to", to + "4", path},
		{"copy", "--from", from, "--to", to + "5", env},
		{"copy", "--from", from, "--to", to + "6", "--keep-going", env, path},
		{"copy", "--from", from, "--to", to + "7", "--keep-going", "--all"},
		{"copy", "--from", from, "--to", to + "8", "--no-closure", "--logs", env},
		{"copy", "--from", from, "--to", to + "9", "--derivation", path},
		{"copy", "--from", from, "--to", to + "10", "--trusted-public-keys", other, path},
		{"copy", "--from", from, "--to", to + "10?compression=xz", env},
		{"copy", "--from", from, "--to", to + "11", "--verify", "none", env},
		{"copy", "--from", from, "--to", to + "11", "--verify", "files", env},
		{"copy", "--from", testCache(t), "--to", from, "--sign-with", key, path},
		{"copy", "--from", testCache(t), "--to", from, "--repair", path},
		{"copy", "--from", testCache(t), "--to", from, "--upstream", from + "=" + other, "--no-closure", env},
		{"add", "--to", from, key + "x"},
		{"add", "--to", from, key},
		{"sign", "--store", from, "--key", key, path},
		{"sign", "--store", from, "--key", key + "x", path},
		{"sign", "--store", from, "--key", key, "--all"},
		{"delete", "--store", from, path},
		{"root", "set", "--store", from, "r", path},
		{"root", "remove", "--store", from, "r"},
		{"verify", "--store", from, "--depth", "contents", path},
		{"verify", "--store", from, "--depth", "contents"},
		{"repair", "--store", from, "--from", to + "11", path},
		{"repair", "--store", from, "--from", to + "11"},
		{"mirror", "--from", from, "--to", to + "12"},
		{"gc", "run", "--store", from, "--dry-run"},
		{"gc", "undo", "--store", from, "nothing"},
		{"stats", "--store", from},
		{"nar", "dump", from + "/nothing"},
		{"nar", "ls", key + "x"},
		{"nar", "ls", key},
		{"nar", "restore", key, key},
		{"nar", "restore", to + "13/x", key},
	}
}

// TestErrorsOnce holds messages to name each subject once in a line: a store
// path or its hash part, an object, a file, a URL.
func TestErrorsOnce(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(damages)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // much of it waits
			paths := []string{hello}
			if name == "whole" {
				paths = append(paths, absent)
			}
			for _, path := range paths {
				from := filepath.Join(t.TempDir(), "from")
				for _, args := range onceCommands(t, fileURL(t, from), path) {
					require.NoError(t, os.RemoveAll(from))
					require.NoError(t, os.CopyFS(from, os.DirFS("testdata/cache")))
					damages[name](t, from)
					assertOnce(t, args)
				}
			}
		})
	}
}

func assertOnce(t *testing.T, args []string) {
	t.Helper()
	got := nixs3(t, "", args...)
	for line := range strings.Lines(got.stderr) {
		assert.Empty(t, repeated(line), "nixs3 %s\n%s", strings.Join(args, " "), line)
	}
	if got.exit != exitOK && !bytes.Contains([]byte(got.stderr), []byte("nixs3: ")) {
		assert.Fail(t, "no message", "nixs3 %s", strings.Join(args, " "))
	}
}

var subjects = regexp.MustCompile(`[0-9a-df-np-sv-z]{32}(?:[0-9a-df-np-sv-z]{20})?|(?:[a-z0-9]+://|/)[^\s"',;:=()/][^\s"',;:=()]*`)

// repeated returns the subjects that a line has twice. The folder of a cache
// and its file:// URL are one.
func repeated(line string) (twice []string) {
	seen := map[string]int{}
	for _, s := range subjects.FindAllString(line, -1) {
		s = strings.TrimSuffix(strings.TrimPrefix(s, "file://"), "/")
		if _, hash, ok := strings.Cut(s, "/nix/store/"); ok {
			s = fmt.Sprintf("%.32s", hash)
		}
		if s == "/nix/store" || s == "/gnu/store" {
			continue // expected and got
		}
		if seen[s]++; seen[s] == 2 {
			twice = append(twice, s)
		}
	}
	return twice
}

// TestErrorsOnceNix is TestErrorsOnce for a local store.
func TestErrorsOnceNix(t *testing.T) {
	nix := newNix(t)
	path := nix.run("nix-store", "--add", filepath.Join(nix.dir, "conf"))
	for _, from := range []string{"local?root=" + nix.root(), "local?root=" + t.TempDir(), "local?root=" + t.TempDir() + "/nothing"} {
		for _, p := range []string{path, absent} {
			for _, args := range onceCommands(t, from, p) {
				assertOnce(t, args)
			}
		}
	}
}

func TestRepeated(t *testing.T) {
	hash := filepath.Base(hello)[:32]
	for line, want := range map[string][]string{
		"signing " + hello + ": store object " + filepath.Base(hello) + ": x":      {hash},
		hello + " in local: " + absent + " in local: not found":                    nil,
		`Get "` + hash + `.narinfo" in file:///tmp/x: open /tmp/x: no such folder`: {"/tmp/x"},
		"copying " + hash + `: Get "` + hash + `.narinfo" in s3://b/p: denied`:     {hash},
	} {
		assert.Equal(t, want, repeated(line), line)
	}
}
