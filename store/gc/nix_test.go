package gc_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/gc"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/storetest"
)

// TestNixBesideTheCollector lets a real Nix, which knows nothing of collectors
// and remembers what a cache had, copy closures while everything is collected
// that is not rooted, even what is recent. What it published in the end is whole
// after the next run.
func TestNixBesideTheCollector(t *testing.T) {
	nix := lab.NewNix(t)
	dir := filepath.Join(nix.Dir, "cache")
	cache, err := store.Open(t.Context(), "file://"+dir)
	require.NoError(t, err)
	defer cache.Close()
	const closures = 8
	top := func(i int) string {
		expr := fmt.Sprintf(`let base = builtins.toFile "base" "base"; lib = builtins.toFile "lib" "${base}"; in builtins.toFile "top-%d" "${lib} ${base}"`, i)
		return strings.Trim(nix.Run("nix-instantiate", "--eval", "--read-write-mode", "-E", expr), `"`)
	}
	tops := make([]string, closures)
	for i := range tops {
		tops[i] = top(i)
	}
	nix.Run("nix", "copy", "--to", "file://"+dir, tops[0])
	copied := make(chan lab.Result, 1)
	go func() {
		var last lab.Result
		for _, p := range tops[1:] {
			if last = nix.Try("nix", "copy", "--to", "file://"+dir, p); last.Exit != 0 {
				break
			}
		}
		copied <- last
	}()
	for working := true; working; {
		select {
		case r := <-copied:
			require.Zero(t, r.Exit, r.Stderr)
			working = false
		default:
		}
		_, err := gc.Collect(t.Context(), cache, gc.Options{Recent: none})
		require.NoError(t, err)
	}
	// The last one rests on what Nix remembers of the cache.
	nix.Run("nix", "copy", "--to", "file://"+dir, top(closures))
	report, err := gc.Collect(t.Context(), cache, gc.Options{})
	require.NoError(t, err)
	require.Empty(t, report.Lost)
	require.Empty(t, report.Dangling)
	_, err = storetest.CheckCache(t.Context(), cache.Bucket(), storetest.CheckOptions{})
	require.NoError(t, err)
	require.Contains(t, names(t, cache.Bucket()), fmt.Sprintf("top-%d", closures))
}
