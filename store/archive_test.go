package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// keeping is a store that refuses to overwrite an archive, in the way of a
// status, and that vouches for no bytes.
func keeping(b blob.Bucket, status int) blob.Bucket {
	return blob.Intercept(withoutChecksums(b), func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
		if (call.Op == "Put" || call.Op == "Commit" || call.Op == "Copy") && layout.KindOf(call.Key) == layout.Archive {
			if _, err := b.Head(ctx, call.Key); err == nil {
				return refusal(call.Key, status)
			}
		}
		return do(ctx)
	})
}

// refusal is the error of a driver for a status.
func refusal(key string, status int) error {
	e := &blob.Error{Op: "Put", Key: key, Status: status, Err: fmt.Errorf("status %d", status)}
	switch status {
	case http.StatusForbidden:
		e.Err = blob.ErrAccessDenied
	case http.StatusPreconditionFailed:
		e.Err = blob.ErrPrecondition
	}
	return e
}

func withoutChecksums(b blob.Bucket) blob.Bucket {
	return blob.Intercept(b, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
		err := do(ctx)
		call.Attrs.SHA256 = nil
		return err
	})
}

// Storing an archive again where the store keeps the first one succeeds, if
// that has the right bytes.
func TestArchivesThatTheStoreKeeps(t *testing.T) {
	for _, size := range []int{100, 200 << 10} {
		for _, status := range []int{403, 405, 409, 412} {
			for _, kept := range []string{"whole", "zeros", "short"} {
				t.Run(fmt.Sprintf("%d bytes, %d, %s", size, status, kept), func(t *testing.T) {
					o := independent(t, 1, size)[0]
					made := add(t, newCache(t, memblob.New(), store.Settings{Compression: "none"}), o, store.AddOptions{})
					content := map[string][]byte{
						"whole": o.archive, "zeros": make([]byte, len(o.archive)), "short": o.archive[:50],
					}[kept]
					b := memblob.New()
					_, err := b.Put(t.Context(), made.URL, bytes.NewReader(content), blob.PutOptions{})
					require.NoError(t, err)
					c := newCache(t, keeping(b, status), store.Settings{Compression: "none"})
					_, err = c.Add(t.Context(), o.info, bytes.NewReader(o.archive), store.AddOptions{})
					if kept == "whole" {
						require.NoError(t, err)
						require.Equal(t, 1, requireSound(t, b).Paths)
						return
					}
					require.Error(t, err)
					_, err = c.NarInfo(t.Context(), o.info.Path)
					require.ErrorIs(t, err, store.ErrNotFound)
				})
			}
		}
	}
}

// An interrupted copy to a store that keeps archives is finished by the next
// one, and two paths may share an archive.
func TestCopyToAStoreThatKeepsArchives(t *testing.T) {
	lib, user, top := smallClosure(t)
	twin := object{with2(lib.info, madeUpPath(77, "twin")), lib.archive}
	objects := []object{lib, user, top, twin}
	src, _ := fill(t, objects, store.Settings{})
	for _, status := range []int{403, 405, 409, 412} {
		b := memblob.New()
		dst := keeping(b, status)
		broken := storetest.NewFaultBucket(dst, func(op storetest.Operation) storetest.Fault {
			if layout.KindOf(op.Key) == layout.NarInfo && op.Op == "Put" {
				return storetest.Fault{Kind: "error"}
			}
			return storetest.Fault{}
		})
		_, err := store.Copy(t.Context(), newCache(t, broken, store.Settings{}), src, paths(objects), store.CopyOptions{})
		require.Error(t, err)
		_, err = store.Copy(t.Context(), newCache(t, dst, store.Settings{}), src, paths(objects), store.CopyOptions{})
		require.NoError(t, err, status)
		require.Equal(t, len(objects), requireSound(t, b).Paths)
	}
}

// The size of an object says nothing about its bytes.
func TestPresenceIsNotSize(t *testing.T) {
	for _, size := range []int{100, 200 << 10} {
		o := independent(t, 1, size)[0]
		made := add(t, newCache(t, memblob.New(), store.Settings{Compression: "none"}), o, store.AddOptions{})
		zeros := make([]byte, len(o.archive))
		digest, wrong := sha256.Sum256(o.archive), sha256.Sum256(zeros)
		for _, tt := range []struct {
			name     string
			present  []byte
			vouches  *[32]byte
			settings store.Settings
			sent     bool
			broken   bool
		}{
			{name: "zeros of the right size", present: zeros, sent: true},
			{name: "zeros with their own checksum", present: zeros, vouches: &wrong, sent: true},
			{name: "the archive with its checksum", present: o.archive, vouches: &digest},
			{name: "the archive without a checksum", present: o.archive, sent: true},
			{name: "zeros where sizes are trusted", present: zeros, settings: store.Settings{TrustSizes: true}, broken: true},
		} {
			t.Run(fmt.Sprintf("%s, %d bytes", tt.name, size), func(t *testing.T) {
				b := memblob.New()
				_, err := b.Put(t.Context(), made.URL, bytes.NewReader(tt.present), blob.PutOptions{SHA256: tt.vouches})
				require.NoError(t, err)
				log := storetest.NewFaultBucket(b, nil)
				tt.settings.Compression = "none"
				add(t, newCache(t, log, tt.settings), o, store.AddOptions{})
				sent := 0
				for _, op := range log.Log() {
					if op.Op == "Put" && op.Key == made.URL && op.Err == nil {
						sent++
					}
				}
				require.Equal(t, tt.sent, sent == 1)
				_, err = storetest.CheckCache(t.Context(), b, storetest.CheckOptions{})
				require.Equal(t, tt.broken, err != nil)
			})
		}
	}
	t.Run("a directory", func(t *testing.T) {
		o := independent(t, 1, 200<<10)[0]
		b, err := fileblob.Open(t.TempDir(), fileblob.Options{})
		require.NoError(t, err)
		c := newCache(t, b, store.Settings{Compression: "none"})
		made := add(t, newCache(t, memblob.New(), store.Settings{Compression: "none"}), o, store.AddOptions{})
		_, err = b.Put(t.Context(), made.URL, bytes.NewReader(make([]byte, len(o.archive))), blob.PutOptions{})
		require.NoError(t, err)
		add(t, c, o, store.AddOptions{})
		requireSound(t, b)
	})
}

// Where S3 keeps checksums, an archive that an interrupted copy has left is not
// sent again, and zeros in its place are.
func TestChecksumsOfS3(t *testing.T) {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
	aws := store.WithS3(s3blob.Options{Dialect: s3blob.DialectAWS})
	o := independent(t, 1, 200<<10)[0]
	made := add(t, s3Cache(t, s3, "&compression=none", aws), o, store.AddOptions{})
	key := layout.NarInfoKey(o.info.Path.HashPart())
	puts := func() (n int) {
		for _, r := range s3.Requests() {
			if r.Method == http.MethodPut && r.Key == made.URL {
				n++
			}
		}
		return n
	}
	again := func() {
		c := s3Cache(t, s3, "&compression=none", aws)
		require.NoError(t, c.Bucket().Delete(t.Context(), key))
		add(t, c, o, store.AddOptions{})
		require.NoError(t, readAll(t, s3Cache(t, s3, "", aws), o.info.Path))
	}
	require.Equal(t, 1, puts())
	again()
	require.Equal(t, 1, puts())
	require.NoError(t, s3.PutObject("cache", made.URL, make([]byte, made.FileSize), nil))
	again()
	require.Equal(t, 2, puts())
}

// The temporary file of an archive has no name while the archive is open, so
// that a killed process leaves nothing.
func TestOpenArchivesHaveNoName(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file in use cannot be removed")
	}
	dir := t.TempDir()
	o := newObject(t, 1, []byte("text"))
	c := newCache(t, memblob.New(), store.Settings{SpoolDir: dir})
	add(t, c, o, store.AddOptions{})
	a, err := c.FS(t.Context(), o.info.Path)
	require.NoError(t, err)
	defer a.Close()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}
