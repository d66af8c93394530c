package lab

import (
	"os"
	"path/filepath"
	"testing"
)

// Caches are the names of the corpus: one cache for each compression that Nix
// 2.8 wrote, all signed with the key of [PublicKey].
var Caches = []string{"br", "bzip2", "full-xz", "gzip", "none", "zstd"}

// Cache returns the absolute directory of a cache of the corpus, which the test
// must not change. Besides [Caches] there is self-2.34, in which Nix 2.34 wrote
// content-addressed paths that refer to themselves, with its key in key.pub.
func Cache(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(moduleRoot(t), "store", "testdata", "caches", name)
	if name == "zstd" { // quickstart is built with it
		dir = filepath.Join(moduleRoot(t), "examples", "quickstart", "testdata", "cache")
	}
	if !exists(dir) {
		t.Fatalf("the corpus has no cache %q", name)
	}
	return dir
}

// PublicKey returns the text of the public key that signed the corpus.
func PublicKey(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot(t), "store", "testdata", "keys", "lab-cache-1.pub"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// moduleRoot returns the directory of go.mod. A test runs in the directory of
// its package.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !exists(filepath.Join(dir, "go.mod")) {
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
	return dir
}
