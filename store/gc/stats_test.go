package gc_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/gc"
)

func TestDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "libc", "lib: libc", "app: lib", "other: libc", "alone")
		require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "other", Paths: paths("other")}))
		_, err := gc.Delete(t.Context(), cache, paths("lib"), gc.DeleteOptions{})
		assert.ErrorIs(t, err, store.ErrReferenced)
		assert.ErrorContains(t, err, path("app").String())
		_, err = gc.Delete(t.Context(), cache, paths("none"), gc.DeleteOptions{})
		assert.ErrorIs(t, err, store.ErrNotFound)
		_, err = gc.Delete(t.Context(), cache, paths("libc"), gc.DeleteOptions{Referrers: true})
		assert.ErrorIs(t, err, gc.ErrRooted)
		assert.Equal(t, "alone app lib libc other", names(t, b))
		time.Sleep(time.Minute)
		report, err := gc.Delete(t.Context(), cache, paths("lib"), gc.DeleteOptions{Referrers: true})
		require.NoError(t, err)
		assert.Equal(t, "alone libc other", names(t, b))
		whole(t, b)
		_, err = gc.Undo(t.Context(), cache, report.Run)
		require.NoError(t, err)
		assert.Equal(t, "alone app lib libc other", names(t, b))
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "libc", "lib: libc", "app: lib", "alone", "hole", "user: hole")
		require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "app", Paths: paths("app")}))
		_, err := b.Put(t.Context(), "nar/x.nar.xz", strings.NewReader("1234"), blob.PutOptions{})
		require.NoError(t, err)
		require.NoError(t, b.Delete(t.Context(), path("hole").HashPart()+".narinfo"))
		info, err := cache.NarInfo(t.Context(), path("alone"))
		require.NoError(t, err)
		require.NoError(t, b.Delete(t.Context(), info.URL))
		before := keys(t, b, "")

		s, err := gc.Stats(t.Context(), cache)
		require.NoError(t, err)
		assert.Equal(t, 5, s.Paths.Paths)
		assert.Equal(t, 2, s.Unrooted.Paths)
		assert.Equal(t, 5, s.Kinds["narinfo"].Objects)
		assert.Equal(t, gc.Objects{Objects: 1, Bytes: 4}, s.Compression["xz"])
		assert.Equal(t, 5, s.Compression["none"].Objects)
		assert.Equal(t, []string{path("user").String()}, s.Incomplete)
		assert.Equal(t, []string{path("alone").String()}, s.WithoutArchive)
		assert.Equal(t, 2, s.Unreferenced.Objects)
		assert.Equal(t, path("app").String(), s.Largest[0].Path)
		assert.Equal(t, 3, s.Largest[0].Paths)
		assert.Equal(t, before, keys(t, b, ""))
	})
}
