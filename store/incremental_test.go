package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

// chain adds n paths to a cache, each of which refers to the one before and to
// the first, and returns them.
func chain(t testing.TB, c *store.Cache, n int) []storepath.Path {
	t.Helper()
	var paths []storepath.Path
	for i := range n {
		o := newObject(t, uint64(i)<<20, fmt.Appendf(nil, "object %d", i))
		if i > 0 {
			o.info.References = append(o.info.References, paths[0], paths[i-1])
		}
		add(t, c, o, store.AddOptions{})
		paths = append(paths, o.info.Path)
	}
	return paths
}

func TestTrustDestination(t *testing.T) {
	src, dst := open(t, "mem://"), open(t, "mem://")
	const all, fresh = 300, 20
	paths := chain(t, src, all)
	_, err := store.Copy(t.Context(), dst, src, paths[all-fresh-1:all-fresh], store.CopyOptions{})
	require.NoError(t, err)

	opts := store.CopyOptions{TrustDestination: true}
	read, asked := src.Stats(), dst.Stats()
	report, err := store.Copy(t.Context(), dst, src, paths[all-1:], opts)
	require.NoError(t, err)
	assert.Equal(t, fresh, report.Copied)
	assert.Equal(t, 2, report.Present, "the first path, and the last that was there")
	assert.LessOrEqual(t, src.Stats().Gets-read.Gets, int64(2*fresh+2), "narinfo and archive of each new path")
	assert.LessOrEqual(t, dst.Stats().Gets-asked.Gets, int64((fresh+2)*3/2))
	assert.Zero(t, dst.Stats().Lists-asked.Lists)

	read, asked = src.Stats(), dst.Stats()
	_, err = store.Copy(t.Context(), dst, src, paths[all-1:], opts)
	require.NoError(t, err)
	assert.LessOrEqual(t, src.Stats().Requests()+dst.Stats().Requests()-read.Requests()-asked.Requests(), int64(3), "a root that is there")

	t.Run("a hole is found without it", func(t *testing.T) {
		require.NoError(t, dst.Bucket().Delete(t.Context(), paths[5].HashPart()+".narinfo"))
		_, err := store.Copy(t.Context(), dst, src, paths[all-1:], opts)
		require.NoError(t, err)
		has, err := dst.Has(t.Context(), paths[5])
		require.NoError(t, err)
		assert.False(t, has)
		report, err := store.Copy(t.Context(), dst, src, paths[all-1:], store.CopyOptions{})
		require.NoError(t, err)
		assert.Equal(t, 1, report.Copied)
	})
	t.Run("what goes meanwhile", func(t *testing.T) {
		dst := open(t, "mem://")
		_, err := store.Copy(t.Context(), dst, src, paths[:2], store.CopyOptions{})
		require.NoError(t, err)
		vanishing := &vanishes{Cache: dst, path: paths[1], t: t}
		_, err = store.Copy(t.Context(), vanishing, src, paths[2:3], opts)
		require.ErrorIs(t, err, store.ErrMissingReference)
	})
}

// vanishes loses a path after it was seen.
type vanishes struct {
	*store.Cache
	path storepath.Path
	t    *testing.T
	seen bool
}

func (v *vanishes) Has(ctx context.Context, p storepath.Path) (bool, error) {
	has, err := v.Cache.Has(ctx, p)
	if p == v.path && has && !v.seen {
		v.seen = true
		err = v.Bucket().Delete(ctx, p.HashPart()+".narinfo")
	}
	return has, err
}
