package gc_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/gc"
)

func TestRevive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "libc", "lib: libc", "app: lib", "alone")
		time.Sleep(2 * day)
		_, err := gc.Collect(t.Context(), cache, gc.Options{})
		require.NoError(t, err)
		require.Empty(t, names(t, b))
		var hidden []string
		for p, err := range gc.Hidden(t.Context(), cache) {
			require.NoError(t, err)
			hidden = append(hidden, p.Path.Name())
		}
		assert.ElementsMatch(t, []string{"libc", "lib", "app", "alone"}, hidden)

		report, err := gc.Revive(t.Context(), cache, path("lib").HashPart())
		require.NoError(t, err)
		assert.Equal(t, paths("libc", "lib"), report.Restored)
		assert.Equal(t, "lib libc", names(t, b))
		whole(t, b)
		_, err = gc.Revive(t.Context(), cache, path("nothing").HashPart())
		assert.ErrorIs(t, err, store.ErrNotFound)
		_, err = gc.Revive(t.Context(), cache, "x")
		assert.Error(t, err)

		info, err := cache.NarInfo(t.Context(), path("lib"))
		require.NoError(t, err)
		time.Sleep(2 * day)
		_, err = gc.Collect(t.Context(), cache, gc.Options{})
		require.NoError(t, err)
		require.NoError(t, b.Delete(t.Context(), info.URL))
		_, err = gc.Revive(t.Context(), cache, path("app").HashPart())
		assert.ErrorIs(t, err, store.ErrNotFound)
		assert.ErrorContains(t, err, "is gone")
	})
}

func TestRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, _ := newCache(t)
		add(t, cache, "a", "b")
		time.Sleep(2 * day)
		report, err := gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a")})
		require.NoError(t, err)
		runs, err := gc.Runs(t.Context(), cache)
		require.NoError(t, err)
		require.Len(t, runs, 1)
		assert.Equal(t, report.Run, runs[0].Name)
		assert.Equal(t, 1, runs[0].Hidden)
		assert.Equal(t, runs[0].Begun.Add(30*day), runs[0].Until)
	})
}
