package gc_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/gc"
)

// A writer that finds everything present, and sets no root, has uploaded
// nothing. What it was asked for counts as recent all the same.
func TestFoundCountsAsRecent(t *testing.T) {
	for name, again := range map[string]func(t *testing.T, cache, src *store.Cache) error{
		"copy": func(t *testing.T, cache, src *store.Cache) error {
			report, err := store.Copy(t.Context(), cache, src, paths("app"), store.CopyOptions{})
			assert.Equal(t, 2, report.Present)
			return err
		},
		"add": func(t *testing.T, cache, _ *store.Cache) error {
			_, err := cache.Add(t.Context(), info("app", "lib"), strings.NewReader(archive("app")), store.AddOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cache, b := newCache(t)
				src, _ := newCache(t)
				for _, c := range []*store.Cache{cache, src} {
					add(t, c, "lib", "app: lib", "other: lib", "root")
				}
				require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "root", Paths: paths("root")}))
				time.Sleep(40 * day)
				require.NoError(t, again(t, cacheIn(t, b), src))
				assert.Len(t, keys(t, b, "nixs3/leases/"), 1)
				time.Sleep(time.Hour)
				collect := func(opts gc.Options) {
					t.Helper()
					_, err := gc.Collect(t.Context(), cache, opts)
					require.NoError(t, err)
				}
				collect(gc.Options{})
				assert.Equal(t, "app lib root", names(t, b))
				time.Sleep(22 * time.Hour)
				collect(gc.Options{})
				assert.Equal(t, "app lib root", names(t, b))
				time.Sleep(2 * time.Hour)
				collect(gc.Options{})
				assert.Equal(t, "root", names(t, b))
				assert.Empty(t, keys(t, b, "nixs3/leases/"))
			})
		})
	}
}

// The trace of a writer protects from nothing but being old.
func TestFoundAndDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		src, _ := newCache(t)
		for _, c := range []*store.Cache{cache, src} {
			add(t, c, "a", "b")
		}
		require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "a", Paths: paths("a")}))
		found := func(keep bool) {
			t.Helper()
			opts := store.CopyOptions{}
			if keep {
				opts.Keep = func(ctx context.Context) error {
					return gc.SetRoot(ctx, cache, gc.Root{Name: "b", Paths: paths("b")})
				}
			}
			_, err := store.Copy(t.Context(), cache, src, paths("b"), opts)
			require.NoError(t, err)
		}
		found(true)
		assert.Empty(t, keys(t, b, "nixs3/leases/"), "the root is enough")
		require.NoError(t, gc.RemoveRoot(t.Context(), cache, "b"))
		found(false)
		report, err := gc.Collect(t.Context(), cache, gc.Options{Recent: none, DryRun: true})
		require.NoError(t, err)
		assert.Equal(t, 1, report.Gone.Paths)
		_, err = gc.Delete(t.Context(), cache, paths("b"), gc.DeleteOptions{})
		require.NoError(t, err)
		assert.Equal(t, "a", names(t, b))
	})
}
