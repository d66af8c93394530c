package fileblob_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
)

// impossible are keys that S3 accepts and a directory cannot.
var impossible = map[string]string{
	"leads out":            "../outside",
	"leads out later":      "dir/../../outside",
	"absolute":             "/etc/passwd",
	"folder itself":        ".",
	"folder":               "dir/",
	"empty element":        "dir//object",
	"dot element":          "dir/./object",
	"temporary file":       ".nixs3-put-ABC",
	"temporary file below": "dir/.nixs3-put-ABC",
	"in a temporary file":  ".nixs3-put-ABC/x",
	"name too long":        strings.Repeat("n", 256),
}

func TestImpossibleKeys(t *testing.T) {
	for name, key := range impossible {
		t.Run(name, func(t *testing.T) {
			b := open(t, t.TempDir(), fileblob.Options{})
			defer b.Close()
			_, err := b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{})
			require.ErrorIs(t, err, blob.ErrInvalidKey)
			_, err = b.Get(t.Context(), key, blob.GetOptions{})
			require.ErrorIs(t, err, blob.ErrNotFound)
			_, err = b.Head(t.Context(), key)
			require.ErrorIs(t, err, blob.ErrNotFound)
			require.NoError(t, b.Delete(t.Context(), key))
		})
	}
}

func TestSymbolicLinks(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "cache")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "inside"), 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(parent, "secret"), []byte("secret"), 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "inside", "object"), []byte("content"), 0o666))
	for name, target := range map[string]string{
		"out": "..", "secret": "../secret", "link": "inside/object", "folder": "inside", "dangling": "absent", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	b := open(t, dir, fileblob.Options{})
	defer b.Close()

	for _, key := range []string{"secret", "out/secret"} {
		_, err := b.Get(t.Context(), key, blob.GetOptions{})
		require.Error(t, err, key)
		_, err = b.Head(t.Context(), key)
		require.Error(t, err, key)
	}
	_, err := b.Put(t.Context(), "out/new", strings.NewReader("x"), blob.PutOptions{})
	require.Error(t, err)
	require.NoFileExists(t, filepath.Join(parent, "new"))
	require.Error(t, b.Delete(t.Context(), "out/secret"))
	require.FileExists(t, filepath.Join(parent, "secret"))

	data, _, err := blob.ReadAll(t.Context(), b, "link", 100)
	require.NoError(t, err)
	assert.Equal(t, "content", string(data))
	var keys []string
	for attrs, err := range b.List(t.Context(), blob.ListOptions{}) {
		require.NoError(t, err)
		keys = append(keys, attrs.Key)
	}
	assert.Equal(t, []string{"inside/object", "link"}, keys)

	// A write replaces a link, and not what it leads to.
	_, err = b.Put(t.Context(), "secret", strings.NewReader("mine"), blob.PutOptions{})
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(parent, "secret"))
	require.NoError(t, err)
	assert.Equal(t, "secret", string(got))
}

func TestFolderAndObjectOfOneName(t *testing.T) {
	b := open(t, t.TempDir(), fileblob.Options{})
	defer b.Close()
	_, err := b.Put(t.Context(), "a/b", strings.NewReader("x"), blob.PutOptions{})
	require.NoError(t, err)
	for _, opts := range []blob.PutOptions{{}, {IfNoneMatch: true}} {
		_, err = b.Put(t.Context(), "a", strings.NewReader("x"), opts)
		require.ErrorContains(t, err, "a file and a folder cannot have the same name")
		require.NotErrorIs(t, err, blob.ErrPrecondition)
	}
	_, err = b.Put(t.Context(), "a/b/c", strings.NewReader("x"), blob.PutOptions{})
	require.ErrorContains(t, err, "a file and a folder cannot have the same name")
	require.NotErrorIs(t, err, blob.ErrNotFound)
	for _, key := range []string{"a", "a/b/c"} {
		_, err = b.Head(t.Context(), key)
		require.ErrorIs(t, err, blob.ErrNotFound)
		require.NoError(t, b.Delete(t.Context(), key))
	}
	require.NoError(t, b.Delete(t.Context(), "a/b"))
	_, err = b.Put(t.Context(), "a", strings.NewReader("x"), blob.PutOptions{})
	require.NoError(t, err, "the empty folder is gone")
}

func TestNothingIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, fileblob.Options{})
	defer b.Close()
	_, err := b.Put(t.Context(), "deep/er/object", failing{}, blob.PutOptions{})
	require.ErrorIs(t, err, errContent)
	assert.Empty(t, leftovers(t, dir), "after a failed write")

	staged, err := b.Stage(t.Context())
	require.NoError(t, err)
	_, err = staged.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, staged.Close())
	assert.Empty(t, leftovers(t, dir), "after a discarded stage")

	staged, err = b.Stage(t.Context())
	require.NoError(t, err)
	_, err = staged.Commit("log/x", blob.PutOptions{})
	require.NoError(t, err)
	_, err = staged.Commit("log/y", blob.PutOptions{})
	require.ErrorContains(t, err, "committed or closed before")
	require.NoError(t, staged.Close())
	assert.Empty(t, leftovers(t, dir, "log/x"), "after a commit")

	_, err = b.Put(t.Context(), "log/x", strings.NewReader("y"), blob.PutOptions{IfNoneMatch: true})
	require.ErrorIs(t, err, blob.ErrPrecondition)
	assert.Empty(t, leftovers(t, dir, "log/x"), "after a lost race")

	require.NoError(t, b.Delete(t.Context(), "log/x"))
	assert.Empty(t, leftovers(t, dir), "after the last object")
}

func TestUploads(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, fileblob.Options{})
	defer b.Close()
	staged, err := b.Stage(t.Context())
	require.NoError(t, err)
	_, err = b.Put(t.Context(), "nar/object", strings.NewReader("x"), blob.PutOptions{})
	require.NoError(t, err)

	var uploads []blob.Upload
	for u, err := range b.Uploads(t.Context(), "nar/") {
		require.NoError(t, err)
		uploads = append(uploads, u)
	}
	require.Len(t, uploads, 1)
	assert.WithinDuration(t, time.Now(), uploads[0].Initiated, time.Minute)
	for range b.Uploads(t.Context(), "log/") {
		assert.Fail(t, "there is no upload with this prefix")
	}

	require.Error(t, b.AbortUpload(t.Context(), blob.Upload{Key: "nar/object", ID: "nar/object"}), "an object is not an upload")
	require.Error(t, b.AbortUpload(t.Context(), blob.Upload{ID: "../.nixs3-put-x"}))
	require.NoError(t, b.AbortUpload(t.Context(), uploads[0]))
	require.NoError(t, b.AbortUpload(t.Context(), uploads[0]), "it is gone already")
	_, err = staged.Commit("nar/other", blob.PutOptions{})
	require.Error(t, err, "its file is gone")
	require.NoError(t, staged.Close())
	assert.Empty(t, leftovers(t, dir, "nar/object"))
}

func TestReadsWhatNixWrote(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nix-cache-info"), []byte("StoreDir: /nix/store\n"), 0o444))
	b := open(t, dir, fileblob.Options{})
	defer b.Close()
	data, attrs, err := blob.ReadAll(t.Context(), b, "nix-cache-info", 1000)
	require.NoError(t, err)
	assert.Equal(t, "StoreDir: /nix/store\n", string(data))
	assert.Empty(t, attrs.ContentType)
	_, err = b.Put(t.Context(), "nix-cache-info", strings.NewReader("new"), blob.PutOptions{IfMatch: attrs.ETag})
	require.NoError(t, err, "a read-only file is replaced")
	got, err := os.ReadFile(filepath.Join(dir, "nix-cache-info"))
	require.NoError(t, err)
	assert.Equal(t, "new", string(got))
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	for _, opts := range []fileblob.Options{{}, {Create: true}} {
		b, err := fileblob.Open(file, opts)
		if err == nil { // the first write will tell
			_, err = b.Put(t.Context(), "x", strings.NewReader("x"), blob.PutOptions{})
		}
		require.Error(t, err)
		var e *blob.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, "file://"+file, e.Bucket)
	}
}

func FuzzKey(f *testing.F) {
	for _, key := range []string{"nar/a.nar", "log/x-1.0.drv", "realisations/sha256:0!out.doi", "a/../b", "C:\\x", "ä"} {
		f.Add(key)
	}
	for _, key := range impossible {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "cache")
		b := open(t, dir, fileblob.Options{Create: true})
		defer b.Close()
		_, err := b.Put(t.Context(), key, strings.NewReader("content"), blob.PutOptions{})
		entries, readErr := os.ReadDir(parent)
		require.NoError(t, readErr)
		require.LessOrEqual(t, len(entries), 1, "nothing beside the directory")
		if err != nil {
			return
		}
		data, attrs, err := blob.ReadAll(t.Context(), b, key, 100)
		require.NoError(t, err)
		require.True(t, bytes.Equal([]byte("content"), data))
		require.Equal(t, key, attrs.Key)
		n := 0
		for attrs, err := range b.List(t.Context(), blob.ListOptions{Prefix: key}) {
			require.NoError(t, err)
			require.Equal(t, key, attrs.Key)
			n++
		}
		require.Equal(t, 1, n)
		require.NoError(t, b.Delete(t.Context(), key))
		require.Empty(t, leftovers(t, dir))
	})
}
