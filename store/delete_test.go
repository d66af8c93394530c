package store_test

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
)

func readerOf(o object) io.Reader { return bytes.NewReader(o.archive) }

// TestDelete deletes every subset of a closure: all or nothing, and no subset
// leaves a path without its references.
func TestDelete(t *testing.T) {
	lib, user, top := smallClosure(t)
	objects := []object{lib, user, top}
	for set := range 1 << len(objects) {
		c, b := fill(t, objects, store.Settings{})
		var goes []storepath.Path
		for i, o := range objects {
			if set>>i&1 == 1 {
				goes = append(goes, o.info.Path)
			}
		}
		err := c.Delete(t.Context(), goes...)
		upward := set == 0 || set == 4 || set == 6 || set == 7 // closed under "refers to"
		require.Equal(t, upward, err == nil, "%b: %v", set, err)
		want := len(objects)
		if upward {
			want -= len(goes)
		} else {
			require.ErrorIs(t, err, store.ErrReferenced)
			require.ErrorContains(t, err, "/nix/store/")
		}
		require.Equal(t, want, requireSound(t, b).Paths)
	}
}

// An interruption of Delete at any request leaves no hole.
func TestDeleteInterrupted(t *testing.T) {
	lib, user, top := smallClosure(t)
	objects := []object{lib, user, top}
	for n := 0; ; n++ {
		_, b := fill(t, objects, store.Settings{})
		log := storetest.NewFaultBucket(b, storetest.FailFrom(n, storetest.Fault{Kind: "error"}))
		err := newCache(t, log, store.Settings{}).Delete(t.Context(), paths(objects)...)
		requireSound(t, b)
		if err == nil {
			return
		}
	}
}

func TestDeleteOfCircles(t *testing.T) {
	a, b := madeUpPath(1, "object-1"), madeUpPath(2, "object-2")
	circle := []object{newObject(t, 1, []byte("a"), b), newObject(t, 2, []byte("b"), a)}
	bucket := memblob.New()
	c := newCache(t, bucket, store.Settings{})
	for _, o := range circle {
		_, err := c.Add(t.Context(), o.info, readerOf(o), store.AddOptions{ReferencesPresent: true})
		require.NoError(t, err)
	}
	require.ErrorIs(t, c.Delete(t.Context(), a), store.ErrReferenced)
	require.NoError(t, c.Delete(t.Context(), a, b))
	require.Zero(t, requireSound(t, bucket).Paths)
}

// TestReferencesThatGoMeanwhile copies while another process deletes what the
// copy has found to be there.
func TestReferencesThatGoMeanwhile(t *testing.T) {
	lib, user, top := smallClosure(t)
	objects := []object{lib, user, top}
	src, _ := fill(t, objects, store.Settings{})
	for _, tt := range []struct {
		name    string
		present []object
		goes    []object
		times   int64
	}{
		{"one", []object{lib}, []object{lib}, 1},
		{"two", []object{lib, user}, []object{user, lib}, 1},
		{"the one below", []object{lib, user}, []object{user}, 1},
		{"again and again", []object{lib, user}, []object{user, lib}, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := memblob.New()
			c := newCache(t, b, store.Settings{})
			for _, o := range tt.present {
				add(t, c, o, store.AddOptions{})
			}
			var times atomic.Int64
			// Before a narinfo becomes visible, others take its references away.
			dst := blob.Intercept(b, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
				if call.Op == "Put" && layout.KindOf(call.Key) == layout.NarInfo && times.Add(1) <= tt.times {
					for _, o := range tt.goes {
						require.NoError(t, b.Delete(ctx, layout.NarInfoKey(o.info.Path.HashPart())))
					}
				}
				return do(ctx)
			})
			_, err := store.Copy(t.Context(), newCache(t, dst, store.Settings{}), src, paths([]object{top}), store.CopyOptions{})
			if tt.times > 1 {
				require.ErrorIs(t, err, store.ErrMissingReference)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 3, requireSound(t, b).Paths)
		})
	}
}
