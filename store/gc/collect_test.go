package gc_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/gc"
)

func TestCollect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "libc", "lib: libc", "app: lib", "other: libc", "alone")
		require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "hosts/web1", Paths: paths("app")}))

		report, err := gc.Collect(t.Context(), cache, gc.Options{})
		require.NoError(t, err)
		assert.Equal(t, "alone app lib libc other", names(t, b), "all are recent")
		assert.Empty(t, report.Run)

		time.Sleep(2 * day)
		before := keys(t, b, "")
		report, err = gc.Collect(t.Context(), cache, gc.Options{DryRun: true})
		require.NoError(t, err)
		assert.Equal(t, 2, report.Gone.Paths)
		assert.Equal(t, 3, report.Kept.Paths)
		assert.Equal(t, before, keys(t, b, ""))

		report, err = gc.Collect(t.Context(), cache, gc.Options{})
		require.NoError(t, err)
		assert.Equal(t, "app lib libc", names(t, b))
		assert.Equal(t, 2, report.Gone.Paths)
		assert.Equal(t, 2, report.Condemned.Objects)
		assert.Equal(t, 2, whole(t, b).Unreferenced, "archives stay for the grace period")
		run := report.Run
		require.NotEmpty(t, run)

		undone, err := gc.Undo(t.Context(), cache, run)
		require.NoError(t, err)
		assert.ElementsMatch(t, paths("other", "alone"), undone.Restored)
		assert.Equal(t, "alone app lib libc other", names(t, b))
		whole(t, b)

		time.Sleep(2 * day)
		_, err = gc.Collect(t.Context(), cache, gc.Options{})
		require.NoError(t, err)
		assert.Equal(t, "app lib libc", names(t, b))
		time.Sleep(31 * day)
		report, err = gc.Collect(t.Context(), cache, gc.Options{})
		require.NoError(t, err)
		assert.Equal(t, 2, report.Destroyed.Objects)
		assert.Equal(t, 3, whole(t, b).Archives)
		assert.Empty(t, keys(t, b, "nixs3/collect/runs/"))
		assert.Empty(t, keys(t, b, "nixs3/leases/"))
		assert.Empty(t, keys(t, b, "nixs3/collect/canary"))
		assert.Len(t, keys(t, b, "nixs3/collect/graph-"), 1)
		_, err = gc.Undo(t.Context(), cache, run)
		assert.ErrorIs(t, err, gc.ErrNoRun)
	})
}

// Without a grace period and without foreign writers all goes at once.
func TestCollectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "a", "b: a", "c: b", "d: a")
		report, err := gc.Collect(t.Context(), cache, gc.Options{Recent: none, Grace: none, Roots: paths("d")})
		require.NoError(t, err)
		assert.Equal(t, "a d", names(t, b))
		assert.Equal(t, 2, report.Destroyed.Objects)
		assert.Equal(t, 0, whole(t, b).Unreferenced)
	})
}
