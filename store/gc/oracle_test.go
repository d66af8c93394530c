package gc_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/gc"
)

// TestOracle collects random graphs with roots of all kinds. What stays is what
// a simple mark says, the dry run before says the same, and so do its bytes.
func TestOracle(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 29))
			cache, b := newCache(t)
			refs, added := map[string][]string{}, map[string]time.Time{}
			var all []string
			for i := range 5 + rng.IntN(25) {
				name := fmt.Sprintf("p%d", i)
				for _, earlier := range all {
					if rng.IntN(6) == 0 {
						refs[name] = append(refs[name], earlier)
					}
				}
				all = append(all, name)
				add(t, cache, name+": "+strings.Join(refs[name], " "))
				added[name] = time.Now()
				time.Sleep(time.Duration(rng.IntN(48)) * time.Hour)
			}
			pick := func() string { return all[rng.IntN(len(all))] }

			var roots []string // names of paths that must stay
			set := func(root, name string, ttl time.Duration) {
				r := gc.Root{Name: root, Paths: paths(name)}
				if ttl > 0 {
					r.Expires = time.Now().Add(ttl)
				}
				require.NoError(t, gc.SetRoot(t.Context(), cache, r))
			}
			if rng.IntN(2) == 0 {
				name := pick()
				set("forever", name, 0)
				roots = append(roots, name)
			}
			if rng.IntN(2) == 0 {
				name := pick()
				set("long", name, 30*day)
				roots = append(roots, name)
			}
			set("short", pick(), time.Hour)
			opts := gc.Options{Recent: none, Paths: -1, Keep: map[string]int{"ci/main": rng.IntN(4)}}
			var group []string
			for i := range 4 {
				group = append(group, pick())
				time.Sleep(time.Minute)
				set(fmt.Sprintf("ci/main/%d", i), group[i], 0)
			}
			roots = append(roots, group[4-opts.Keep["ci/main"]:]...)
			time.Sleep(2 * time.Hour)
			if rng.IntN(2) == 0 {
				opts.Recent = time.Duration(rng.IntN(100)) * time.Hour
			}
			if rng.IntN(2) == 0 {
				opts.KeepSince = time.Duration(rng.IntN(300)) * time.Hour
			}
			if opts.Recent == 0 {
				opts.Recent = none
			}
			if rng.IntN(3) == 0 {
				name := pick()
				opts.Roots = paths(name)
				roots = append(roots, name)
			}
			for name, at := range added {
				if span := max(opts.Recent, opts.KeepSince); span > 0 && time.Since(at) <= span {
					roots = append(roots, name)
				}
			}

			stays := map[string]bool{}
			for len(roots) > 0 {
				name := roots[0]
				roots = roots[1:]
				if !stays[name] {
					stays[name] = true
					roots = append(roots, refs[name]...)
				}
			}
			var expected []string
			for name := range stays {
				expected = append(expected, name)
			}
			slices.Sort(expected)

			dry := opts
			dry.DryRun = true
			planned, err := gc.Collect(t.Context(), cache, dry)
			require.NoError(t, err)
			report, err := gc.Collect(t.Context(), cache, opts)
			require.NoError(t, err)
			assert.Equal(t, strings.Join(expected, " "), names(t, b), "seed %d", seed)
			assert.Equal(t, len(all)-len(expected), report.Gone.Paths)
			assert.Equal(t, planned.Gone, report.Gone)
			assert.Equal(t, planned.Kept, report.Kept)
			assert.Equal(t, planned.Paths, report.Paths)
			assert.Equal(t, planned.RootsRemoved, report.RootsRemoved)
			whole(t, b)
		})
	}
}
