package graph_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/graph"
)

type node struct{ info *narinfo.PathInfo }

func (n node) Info() *narinfo.PathInfo { return n.info }

func path(t testing.TB, n int) storepath.Path {
	t.Helper()
	hash := nixhash.Sum(nixhash.SHA256, fmt.Append(nil, n)).Digest()[:20]
	p, err := storepath.ParseBase(nixhash.EncodeNix32(hash) + fmt.Sprintf("-n%d", n))
	require.NoError(t, err)
	return p
}

// nodes makes a graph of the references of each number.
func nodes(t testing.TB, refs map[int][]int) map[storepath.Path]node {
	g := map[storepath.Path]node{}
	for n, to := range refs {
		info := &narinfo.PathInfo{Path: path(t, n), NarSize: 10}
		for _, r := range to {
			info.References = append(info.References, path(t, r))
		}
		g[info.Path] = node{info}
	}
	return g
}

// random makes a graph without circles, but with paths that refer to themselves.
func random(t testing.TB, seed uint64, n int) map[storepath.Path]node {
	rng := rand.New(rand.NewPCG(seed, 0))
	refs := map[int][]int{}
	for i := range n {
		refs[i] = nil
		for range rng.IntN(4) {
			refs[i] = append(refs[i], rng.IntN(i+1))
		}
	}
	return nodes(t, refs)
}

func TestWalk(t *testing.T) {
	failure := errors.New("failure")
	chain := nodes(t, map[int][]int{0: {1}, 1: {2}, 2: {3}, 3: {3}, 9: nil})
	for _, tt := range []struct {
		name   string
		roots  []int
		limits graph.Limits
		fails  int // the path whose lookup does, -1 for none
		want   int
		err    error
	}{
		{"nothing", nil, graph.Limits{}, -1, 0, nil},
		{"all below", []int{0}, graph.Limits{}, -1, 4, nil},
		{"a root twice", []int{2, 2}, graph.Limits{}, -1, 2, nil},
		{"limits just met", []int{0}, graph.Limits{Paths: 4, References: 4, NarSize: 40}, -1, 4, nil},
		{"too many paths", []int{0}, graph.Limits{Paths: 3}, -1, 2, graph.ErrTooLarge},
		{"too many roots", []int{0, 1, 2, 3}, graph.Limits{Paths: 3}, -1, 0, graph.ErrTooLarge},
		{"too many references", []int{0}, graph.Limits{References: 2}, -1, 2, graph.ErrTooLarge},
		{"too many bytes", []int{0}, graph.Limits{NarSize: 39}, -1, 3, graph.ErrTooLarge},
		{"a failure", []int{0}, graph.Limits{}, 2, 2, failure},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var roots []storepath.Path
			for _, r := range tt.roots {
				roots = append(roots, path(t, r))
			}
			var running atomic.Int64
			lookup := func(_ context.Context, p, user storepath.Path) (node, error) {
				defer running.Add(-1)
				require.LessOrEqual(t, running.Add(1), int64(2))
				if tt.fails >= 0 && p == path(t, tt.fails) {
					return node{}, failure
				}
				if !user.IsZero() {
					require.Contains(t, chain[user].info.References, p)
				}
				return chain[p], nil
			}
			found, err := map[storepath.Path]bool{}, error(nil)
			for n, e := range graph.Walk(t.Context(), roots, 2, tt.limits, lookup) {
				if err = e; err != nil {
					continue
				}
				require.False(t, found[n.info.Path])
				found[n.info.Path] = true
			}
			require.ErrorIs(t, err, tt.err)
			require.Len(t, found, tt.want)
			require.Zero(t, running.Load())
		})
	}
	t.Run("the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		var err error
		for _, err = range graph.Walk(ctx, []storepath.Path{path(t, 0)}, 1, graph.Limits{}, func(_ context.Context, p, _ storepath.Path) (node, error) {
			cancel(failure)
			return chain[p], nil
		}) {
		}
		require.ErrorIs(t, err, failure)
	})
}

func TestOrder(t *testing.T) {
	for seed := range uint64(20) {
		g := random(t, seed, 50)
		order, err := graph.Link(maps.Values(g)).Order()
		require.NoError(t, err)
		require.Len(t, order, len(g))
		at := map[storepath.Path]int{}
		for i, p := range order {
			at[p] = i
		}
		for p, n := range g {
			for _, ref := range graph.References(n) {
				require.Less(t, at[ref], at[p])
			}
		}
	}
	for name, refs := range map[string]map[int][]int{
		"two":             {1: {2}, 2: {1}},
		"three":           {1: {2}, 2: {3}, 3: {1}},
		"above a circle":  {0: {1}, 1: {2}, 2: {1}},
		"beside a circle": {0: nil, 1: {2}, 2: {1}},
	} {
		_, err := graph.Link(maps.Values(nodes(t, refs))).Order()
		require.ErrorIs(t, err, graph.ErrCycle, name)
	}
	_, err := graph.Link(maps.Values(nodes(t, map[int][]int{1: {1, 99}}))).Order()
	require.NoError(t, err, "itself and what is not in the graph do not count")
}

func TestWaves(t *testing.T) {
	for seed := range uint64(20) {
		g := random(t, seed, 50)
		gone := map[storepath.Path]bool{}
		for _, wave := range graph.Waves(g) {
			for _, p := range wave {
				for user, n := range g {
					if slices.Contains(graph.References(n), p) {
						require.True(t, gone[user], "%s goes before %s, which refers to it", p, user)
					}
				}
			}
			for _, p := range wave {
				require.False(t, gone[p])
				gone[p] = true
			}
		}
		require.Len(t, gone, len(g))
	}
	waves := graph.Waves(nodes(t, map[int][]int{0: {1}, 1: {2}, 2: {1, 3}, 3: nil}))
	require.Len(t, waves, 2)
	require.Len(t, waves[1], 3, "a circle and what it needs")
}
