package gc_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/gc"
	"example.com/nixs3/store/storetest/fakes3"
)

// withUploads is a bucket with unfinished uploads.
type withUploads struct {
	blob.Bucket
	uploads []blob.Upload
	err     error
}

func (w *withUploads) Uploads(context.Context, string) iter.Seq2[blob.Upload, error] {
	return func(yield func(blob.Upload, error) bool) {
		for _, u := range w.uploads {
			if !yield(u, nil) {
				return
			}
		}
		if w.err != nil {
			yield(blob.Upload{}, w.err)
		}
	}
}

func (w *withUploads) AbortUpload(_ context.Context, aborted blob.Upload) error {
	var left []blob.Upload
	for _, u := range w.uploads {
		if u != aborted {
			left = append(left, u)
		}
	}
	w.uploads = left
	return nil
}

// Unfinished uploads end when they are old, even if the run finds nothing else.
func TestUnfinishedUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newCache(t)
		w := &withUploads{Bucket: b}
		cache := cacheIn(t, w)
		add(t, cache, "a")
		collect := func(opts gc.Options, destroyed int) {
			t.Helper()
			opts.Roots = paths("a")
			report, err := gc.Collect(t.Context(), cache, opts)
			require.NoError(t, err)
			assert.Equal(t, destroyed, report.Destroyed.Objects)
		}
		begun := time.Now()
		all := []blob.Upload{{Key: "nar/x.nar", ID: "1", Initiated: begun}, {Key: "somebody/else", ID: "2", Initiated: begun},
			{Key: path("b").HashPart() + ".narinfo", ID: "3", Initiated: begun}}
		w.uploads = all
		collect(gc.Options{}, 0)
		assert.Equal(t, all, w.uploads, "they are recent")

		time.Sleep(25 * time.Hour)
		collect(gc.Options{DryRun: true}, 2)
		assert.Equal(t, all, w.uploads)
		// A writer that has been at work since then may have begun them.
		session, err := cache.Begin(t.Context(), path("b"))
		require.NoError(t, err)
		w.uploads = append(w.uploads, blob.Upload{Key: "nar/y.nar", ID: "4", Initiated: time.Now()})
		collect(gc.Options{Recent: none}, 2)
		assert.Equal(t, []blob.Upload{all[1], {Key: "nar/y.nar", ID: "4", Initiated: time.Now()}}, w.uploads)
		session.End(t.Context(), nil)

		for _, w.err = range []error{blob.ErrAccessDenied, errors.ErrUnsupported} {
			collect(gc.Options{}, 0)
		}
		w.err = blob.ErrThrottled
		_, err = gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a")})
		assert.ErrorIs(t, err, blob.ErrThrottled)
	})
}

// S3 keeps the parts of uploads until somebody aborts them.
func TestUnfinishedUploadsOnS3(t *testing.T) {
	s3, cache := onS3(t, fakes3.Options{Anonymous: fakes3.FullAccess})
	uploads := func() (found []string) {
		cleaner, ok := blob.As[blob.UploadCleaner](cache.Bucket())
		require.True(t, ok)
		for u, err := range cleaner.Uploads(t.Context(), "") {
			require.NoError(t, err)
			found = append(found, u.Key)
		}
		return found
	}
	for _, key := range []string{"nar/x.nar", "somebody/else"} {
		answer, err := s3.Client().Post(s3.Endpoint()+"/cache/"+key+"?uploads", "", nil)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
	_, err := gc.Collect(t.Context(), cache, gc.Options{})
	require.NoError(t, err)
	assert.Len(t, uploads(), 2, "they are recent")
	_, err = gc.Collect(t.Context(), cache, gc.Options{Recent: none})
	require.NoError(t, err)
	assert.Equal(t, []string{"somebody/else"}, uploads())
}

// A directory has the temporary files of killed writers.
func TestUnfinishedFiles(t *testing.T) {
	dir := t.TempDir()
	cache, err := store.Open(t.Context(), "file://"+filepath.ToSlash(dir)+"?compression=none")
	require.NoError(t, err)
	t.Cleanup(func() { cache.Close() })
	add(t, cache, "a")
	var left []string
	for _, name := range []string{".nixs3-put-A", "nar/.nixs3-put-B", "other"} {
		left = append(left, filepath.Join(dir, name))
		require.NoError(t, os.WriteFile(left[len(left)-1], []byte("x"), 0o600))
		old := time.Now().Add(-48 * time.Hour)
		require.NoError(t, os.Chtimes(left[len(left)-1], old, old))
	}
	_, err = gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a")})
	require.NoError(t, err)
	assert.NoFileExists(t, left[0])
	assert.NoFileExists(t, left[1])
	assert.FileExists(t, left[2])
}
