package verify_test

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/verify"
)

// corpus are caches that a real Nix wrote.
var corpus = lab.Caches

// corpusCache copies a cache of the corpus into memory, object by object.
func corpusCache(t testing.TB, name string) *store.Cache {
	t.Helper()
	return newCache(t, bucketOf(t, corpusObjects(t, name)))
}

// objects are what a bucket has.
type objects map[string]object

type object struct{ data, encoding string }

func bucketOf(t testing.TB, all objects) blob.Bucket {
	t.Helper()
	b := memblob.New()
	for key, o := range all {
		_, err := b.Put(t.Context(), key, strings.NewReader(o.data), blob.PutOptions{ContentEncoding: o.encoding})
		require.NoError(t, err)
	}
	return b
}

var readCorpus sync.Map // by name: objects

// corpusObjects reads a cache of the corpus, once.
func corpusObjects(t testing.TB, name string) objects {
	t.Helper()
	if all, ok := readCorpus.Load(name); ok {
		return all.(objects)
	}
	all := objects{}
	root := lab.Cache(t, name)
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		rel, err := filepath.Rel(root, path)
		require.NoError(t, err)
		all[filepath.ToSlash(rel)] = object{data: string(data)}
		return nil
	}))
	readCorpus.Store(name, all)
	return all
}

func newCache(t testing.TB, b blob.Bucket, change ...func(*store.Settings)) *store.Cache {
	t.Helper()
	var settings store.Settings
	for _, f := range change {
		f(&settings)
	}
	c, err := store.New(b, settings)
	require.NoError(t, err)
	return c
}

func corpusKeys(t testing.TB) narinfo.TrustedKeys {
	t.Helper()
	keys, err := narinfo.ParseTrustedKeys(lab.PublicKey(t))
	require.NoError(t, err)
	return keys
}

// put stores an object, with the Content-Encoding that it has had.
func put(t testing.TB, b blob.Bucket, key string, data []byte) {
	t.Helper()
	old, err := b.Head(t.Context(), key)
	if err != nil {
		require.ErrorIs(t, err, blob.ErrNotFound)
	}
	_, err = b.Put(t.Context(), key, strings.NewReader(string(data)), blob.PutOptions{ContentEncoding: old.ContentEncoding})
	require.NoError(t, err)
}

func get(t testing.TB, b blob.Bucket, key string) []byte {
	t.Helper()
	obj, err := b.Get(t.Context(), key, blob.GetOptions{})
	require.NoError(t, err)
	defer obj.Body.Close()
	data, err := io.ReadAll(obj.Body)
	require.NoError(t, err)
	return data
}

// contentsOf returns all objects of a bucket.
func contentsOf(t testing.TB, b blob.Bucket) map[string]string {
	t.Helper()
	all := map[string]string{}
	for a, err := range b.List(t.Context(), blob.ListOptions{}) {
		require.NoError(t, err)
		all[a.Key] = string(get(t, b, a.Key))
	}
	return all
}

// check returns all that Check finds, which must be able to tell.
func check(t testing.TB, c *store.Cache, opts verify.Options) []verify.Finding {
	t.Helper()
	var findings []verify.Finding
	for f, err := range verify.Check(t.Context(), c, opts) {
		require.NoError(t, err)
		findings = append(findings, f)
	}
	return findings
}

func kindsOf(findings []verify.Finding) map[verify.Kind]int {
	kinds := map[verify.Kind]int{}
	for _, f := range findings {
		kinds[f.Kind]++
	}
	return kinds
}

func narinfoHash(content string) nixhash.Hash {
	return nixhash.FromSHA256(sha256.Sum256([]byte(content)))
}

func path(base string) storepath.Path {
	p, err := storepath.ParseBase(base)
	if err != nil {
		panic(err)
	}
	return p
}

func comparePaths(a, b storepath.Path) int { return a.Compare(b) }
