package gc_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/gc"
)

// seeds is how many interleavings are tried.
func seeds(t *testing.T) uint64 {
	n, err := strconv.ParseUint(os.Getenv("NIXS3_GC_SEEDS"), 10, 32)
	if err != nil {
		return 100
	}
	return n
}

// found are seeds that lead to a path without what it needs where the protocol
// is changed: where writers do not wait, where narinfos are listed before leases,
// and where writers do not announce the archives that they find.
var found = []uint64{128, 1456, 2655}

// TestSimulation runs writers, collectors and setters of roots side by side, with
// every request a step of a scheduler that kills and pauses them and lets
// time leap. After every step every visible path has its archive and all its
// references; what a root was set on stays; and in the end all else goes.
func TestSimulation(t *testing.T) {
	outcomes := map[string]int{}
	for _, seed := range append(found, slices.Collect(upTo(seeds(t)))...) {
		s := simulate(t, newSim(seed))
		for _, o := range s.outcomes {
			outcomes[o]++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Log(outcomes)
	for _, o := range []string{"copy ok", "copy failed", "add ok", "root ok", "collect ok", "collect failed"} {
		require.Positive(t, outcomes[o], "the simulation must reach: %s", o)
	}
}

// TestSimulationFaults fails each request of some interleavings once: with an
// answer that gets lost, and with 503.
func TestSimulationFaults(t *testing.T) {
	for seed := range max(1, seeds(t)/1000) {
		steps := simulate(t, &sim{seed: seed, faultAt: -1, calm: true}).steps
		for at := range steps {
			for _, lost := range []bool{true, false} {
				simulate(t, &sim{seed: seed, faultAt: at, faultLost: lost, calm: true})
				if t.Failed() {
					t.Fatalf("seed %d, fault at %d, lost %v", seed, at, lost)
				}
			}
		}
	}
}

func upTo(n uint64) func(func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// sim is what a simulation does, and what came of it.
type sim struct {
	seed      uint64
	faultAt   int
	faultLost bool
	calm      bool

	steps    int
	outcomes []string
}

func newSim(seed uint64) *sim { return &sim{seed: seed, faultAt: -1} }

// simulate runs a simulation in a bubble of its own.
func simulate(t *testing.T, s *sim) *sim {
	synctest.Test(t, func(t *testing.T) { s.run(t) })
	return s
}

func (s *sim) run(t *testing.T) {
	w := newWorld(t, s.seed)
	w.faultAt, w.faultLost = s.faultAt, s.faultLost
	if s.calm {
		w.leaps, w.pauses, w.kills = 0, 0, 0
	}

	// A cache of old paths: some hidden, some of their archives ripe.
	graph := randomGraph(w)
	setup := cacheIn(t, w.inner)
	first := graph.names[:3+w.rng.IntN(len(graph.names)-3)]
	for _, name := range first {
		graph.add(t.Context(), t, setup, name)
	}
	require.NoError(t, gc.SetRoot(t.Context(), setup, gc.Root{Name: "first", Paths: paths(first[0])}))
	if w.rng.IntN(3) > 0 {
		time.Sleep(time.Hour)
		_, err := gc.Collect(t.Context(), setup, gc.Options{Recent: none, Roots: paths(first[len(first)/2])})
		require.NoError(t, err)
		time.Sleep(31 * day)
	}
	src := cacheIn(t, memblob.New())
	for _, name := range graph.names {
		graph.add(t.Context(), t, src, name)
	}

	rooted := map[string]bool{path(first[0]).String(): true}
	pick := func() string { return graph.names[w.rng.IntN(len(graph.names))] }
	var processes []*process
	kinds := map[*process]string{}
	start := func(kind string, f func(ctx context.Context, p *process) error) {
		p := w.start(fmt.Sprintf("%d-%s", len(processes), kind), f)
		processes = append(processes, p)
		kinds[p] = kind
	}
	for range 2 + w.rng.IntN(3) {
		name, other, withRoot := pick(), pick(), w.rng.IntN(2) == 0
		switch w.rng.IntN(4) {
		case 0, 1:
			start("copy", func(ctx context.Context, p *process) error {
				opts := store.CopyOptions{Repair: name == other}
				if withRoot {
					opts.Keep = func(ctx context.Context) error {
						err := gc.SetRoot(ctx, p.cache, gc.Root{Name: "copied/" + p.name, Paths: paths(name)})
						if err == nil {
							rooted[path(name).String()] = true
						}
						return err
					}
				}
				_, err := store.Copy(ctx, p.cache, src, paths(name, other), opts)
				return err
			})
		case 2:
			start("add", func(ctx context.Context, p *process) error {
				_, err := p.cache.Add(ctx, info(name, graph.refs[name]...), strings.NewReader(archive(graph.contents[name])), store.AddOptions{})
				return err
			})
		case 3:
			start("root", func(ctx context.Context, p *process) error {
				err := gc.SetRoot(ctx, p.cache, gc.Root{Name: "set/" + p.name, Paths: paths(name)})
				if err == nil {
					rooted[path(name).String()] = true
				}
				return err
			})
		}
	}
	for range 1 + w.rng.IntN(2) {
		opts := gc.Options{Recent: none, Grace: []time.Duration{none, 0, time.Hour}[w.rng.IntN(3)]}
		again := w.rng.IntN(2) == 0
		start("collect", func(ctx context.Context, p *process) error {
			report, err := gc.Collect(ctx, p.cache, opts)
			if err == nil && again && report.Run != "" {
				_, err = gc.Undo(ctx, p.cache, report.Run)
			}
			return err
		})
	}
	err := w.run(func() error {
		if err := w.whole(); err != nil {
			return err
		}
		return stays(w, rooted)
	}, processes...)
	s.steps = w.steps
	for _, p := range processes {
		outcome := "ok"
		if p.err != nil {
			outcome = "failed"
		}
		s.outcomes = append(s.outcomes, kinds[p]+" "+outcome)
	}
	if err != nil {
		t.Errorf("seed %d: %v\n%s", s.seed, err, strings.Join(w.log, "\n"))
		return
	}
	s.finish(t, w, graph)
}

// finish collects in peace: exactly what roots reach stays.
func (s *sim) finish(t *testing.T, w *world, graph *graph) {
	time.Sleep(2 * time.Hour)
	cache := cacheIn(t, w.inner)
	_, err := gc.Collect(t.Context(), cache, gc.Options{Recent: none, Grace: none})
	require.NoError(t, err)
	want := map[string]bool{}
	var reach func(p storepath.Path)
	reach = func(p storepath.Path) {
		if !want[p.String()] {
			want[p.String()] = true
			for _, ref := range graph.refs[p.Name()] {
				reach(path(ref))
			}
		}
	}
	for r, err := range gc.Roots(t.Context(), cache) {
		require.NoError(t, err)
		for _, p := range r.Paths {
			reach(p)
		}
	}
	infos, err := w.visible()
	require.NoError(t, err)
	got := slices.Sorted(maps.Keys(infos))
	if expected := slices.Sorted(maps.Keys(want)); !slices.Equal(expected, got) {
		t.Errorf("seed %d: expected %v, got %v\n%s", s.seed, expected, got, strings.Join(w.log, "\n"))
	}
	if unused := whole(t, w.inner).Unreferenced; unused != 0 {
		t.Errorf("seed %d: %d archives are left\n%s", s.seed, unused, strings.Join(w.log, "\n"))
	}
}

// stays fails unless all paths on which a root was set are visible.
func stays(w *world, rooted map[string]bool) error {
	infos, err := w.visible()
	if err != nil {
		return err
	}
	for p := range rooted {
		if infos[p] == nil {
			return fmt.Errorf("%s is gone, on which a root was set", p)
		}
	}
	return nil
}

// graph is what there is to be copied: paths that refer to earlier ones, some
// with the same contents.
type graph struct {
	names    []string
	refs     map[string][]string
	contents map[string]string
}

func randomGraph(w *world) *graph {
	g := &graph{refs: map[string][]string{}, contents: map[string]string{}}
	for i := range 5 + w.rng.IntN(6) {
		name := fmt.Sprintf("p%d", i)
		g.contents[name] = fmt.Sprintf("contents %d", w.rng.IntN(i+1))
		for _, earlier := range g.names {
			if w.rng.IntN(3) == 0 {
				g.refs[name] = append(g.refs[name], earlier)
			}
		}
		g.names = append(g.names, name)
	}
	return g
}

// add adds a path and what it refers to.
func (g *graph) add(ctx context.Context, t *testing.T, cache *store.Cache, name string) {
	for _, ref := range g.refs[name] {
		g.add(ctx, t, cache, ref)
	}
	_, err := cache.Add(ctx, info(name, g.refs[name]...), strings.NewReader(archive(g.contents[name])), store.AddOptions{})
	require.NoError(t, err)
}
