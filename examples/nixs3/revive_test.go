package main

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/gc"
	"example.com/nixs3/store/serve"
	"example.com/nixs3/store/storetest"
)

// TestRevive asks a gateway for a path that a collector has hidden: the first
// request brings it and its references back, and no other path.
func TestRevive(t *testing.T) {
	c, err := store.New(memblob.New(), store.Settings{})
	require.NoError(t, err)
	tree := t.TempDir()
	var paths []storepath.Path
	for _, name := range []string{"leaf", "user", "other"} {
		opts := store.AddPathOptions{Name: name}
		if name == "user" {
			opts.References = paths[:1]
		}
		info, err := store.AddPath(t.Context(), c, tree, opts)
		require.NoError(t, err)
		paths = append(paths, info.Path)
	}
	s, err := serve.New(c, serve.Options{Restore: newReviver(c).restore})
	require.NoError(t, err)
	defer s.Close()
	status := func(hashPart string) int {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", "/"+hashPart+".narinfo", http.NoBody))
		return w.Code
	}
	_, err = gc.Hide(t.Context(), c, paths, gc.Options{})
	require.NoError(t, err)
	absent := strings.Repeat("0", 32)
	assert.Equal(t, 404, status(absent))
	assert.Equal(t, 200, status(paths[1].HashPart()))
	var visible []string
	for hashPart, err := range c.HashParts(t.Context()) {
		require.NoError(t, err)
		visible = append(visible, hashPart)
	}
	assert.ElementsMatch(t, []string{paths[0].HashPart(), paths[1].HashPart()}, visible)
}

// TestMissesCostOneRequest counts the requests for paths that no journal holds,
// and for one whose archive is gone.
func TestMissesCostOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := storetest.NewFaultBucket(memblob.New(), nil)
		c, err := store.New(b, store.Settings{})
		require.NoError(t, err)
		var paths []storepath.Path
		for _, name := range []string{"a", "b"} {
			info, err := store.AddPath(t.Context(), c, t.TempDir(), store.AddPathOptions{Name: name})
			require.NoError(t, err)
			paths = append(paths, info.Path)
		}
		info, err := c.NarInfo(t.Context(), paths[0])
		require.NoError(t, err)
		_, err = gc.Hide(t.Context(), c, paths, gc.Options{})
		require.NoError(t, err)
		require.NoError(t, b.Delete(t.Context(), info.URL))
		s, err := serve.New(c, serve.Options{Restore: newReviver(c).restore})
		require.NoError(t, err)
		defer s.Close()
		ask := func(hashPart string) {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest("GET", "/"+hashPart+".narinfo", http.NoBody))
			require.Equal(t, 404, w.Code)
		}
		ask(strings.Repeat("1", 32)) // reads the journals
		ask(paths[0].HashPart())     // finds the archive gone
		b.ResetLog()
		const n = 500
		for i := range n {
			ask(fmt.Sprintf("%032d", i))
		}
		assert.LessOrEqual(t, len(b.Log()), n)
		time.Sleep(4 * time.Second) // the gateway has forgotten the misses
		b.ResetLog()
		ask(paths[0].HashPart())
		assert.Len(t, b.Log(), 1)
		time.Sleep(11 * time.Second) // the index is listed again, once
		b.ResetLog()
		for i := range n {
			ask(fmt.Sprintf("%032d", i))
		}
		assert.LessOrEqual(t, len(b.Log()), n+1)
	})
}

// unlistable is a bucket whose listings fail.
type unlistable struct {
	blob.Bucket
	err   error
	lists int
}

func (u *unlistable) List(context.Context, blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	u.lists++
	return func(yield func(blob.Attrs, error) bool) { yield(blob.Attrs{}, u.err) }
}

// TestReviveWithoutListing misses where the bucket cannot be listed, and fails
// in an outage.
func TestReviveWithoutListing(t *testing.T) {
	for _, tt := range []struct {
		err   error
		fails bool
	}{{blob.ErrAccessDenied, false}, {assert.AnError, true}} {
		b := &unlistable{Bucket: memblob.New(), err: tt.err}
		c, err := store.New(b, store.Settings{})
		require.NoError(t, err)
		r := newReviver(c)
		for range 3 {
			restored, err := r.restore(t.Context(), strings.Repeat("0", 32))
			assert.False(t, restored)
			assert.Equal(t, tt.fails, err != nil, "%v", err)
		}
		if !tt.fails {
			assert.Equal(t, 1, b.lists)
		}
	}
}
