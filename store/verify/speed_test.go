package verify_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// bestOf returns the shortest time of several runs.
func bestOf(runs int, f func(i int)) time.Duration {
	var best time.Duration
	for i := range runs {
		start := time.Now()
		f(i)
		if d := time.Since(start); best == 0 || d < best {
			best = d
		}
	}
	return best
}

// signIdeally does for each path what cannot be done without: a GET, a
// signature, and a PUT.
func signIdeally(t testing.TB, c *store.Cache, paths []storepath.Path, key narinfo.SecretKey) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(64)
	for _, p := range paths {
		g.Go(func() error {
			object := layout.NarInfoKey(p.HashPart())
			text, attrs, err := blob.ReadAll(t.Context(), c.Bucket(), object, layout.NarInfo.Limit())
			if err != nil {
				return err
			}
			info, err := narinfo.Parse(text)
			if err != nil {
				return err
			}
			if err := info.Sign(t.Context(), key); err != nil {
				return err
			}
			if text, err = info.MarshalText(); err != nil {
				return err
			}
			_, err = c.Bucket().Put(t.Context(), object, bytes.NewReader(text), blob.PutOptions{ContentType: layout.NarInfo.ContentType(), IfMatch: attrs.ETag})
			return err
		})
	}
	require.NoError(t, g.Wait())
}
