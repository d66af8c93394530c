package gc_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/gc"
)

func TestHide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "a", "b: a", "c: b", "d", "e: d a", "f: f")
		// A root does not keep what has to go.
		require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "ci/main", Paths: paths("c", "d")}))

		report, err := gc.Hide(t.Context(), cache, paths("b", "absent"), gc.Options{})
		require.NoError(t, err)
		assert.Equal(t, "a d e f", names(t, b))
		assert.Len(t, report.Paths, 2)
		whole(t, b)
		first := report.Run
		require.NotEmpty(t, first)

		report, err = gc.Hide(t.Context(), cache, paths("a", "f"), gc.Options{})
		require.NoError(t, err)
		assert.Equal(t, "d", names(t, b))
		whole(t, b)

		_, err = gc.Undo(t.Context(), cache, report.Run)
		require.NoError(t, err)
		assert.Equal(t, "a d e f", names(t, b))
		_, err = gc.Undo(t.Context(), cache, first)
		require.NoError(t, err)
		assert.Equal(t, "a b c d e f", names(t, b))
		whole(t, b)

		report, err = gc.Hide(t.Context(), cache, paths("absent"), gc.Options{})
		require.NoError(t, err)
		assert.Empty(t, report.Run)
	})
}
