package gc_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
)

// world is a bucket and the processes that use it. Every request is a step, and
// a random number generator says which of the waiting requests is next, and what
// becomes of it. Nothing else happens between two steps.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	inner *memblob.Bucket
	log   []string

	mu      sync.Mutex
	waiting []*request
	steps   int

	faultAt   int // the step whose request fails, -1 for none
	faultLost bool

	// How the next request is chosen: evenly, or of the process with the highest
	// priority, which changes once in so many steps.
	changes int

	// Time leaps, and processes are paused and killed, once in so many steps; 0
	// means never.
	leaps, pauses, kills int
}

// process is one that uses the bucket.
type process struct {
	w      *world
	name   string
	bucket blob.Bucket
	cache  *store.Cache
	dead   bool
	until  time.Time // it is paused
	from   int       // the step before which it does not begin
	rank   float64   // the highest is served first
	done   chan struct{}
	err    error
}

// request waits for its step.
type request struct {
	p       *process
	op, key string
	since   time.Time
	verdict chan verdict
}

type verdict uint8

const (
	served verdict = iota
	lost           // served, but the answer does not arrive
	refused
	tooLate
	unsent
)

var (
	errLost    = &blob.Error{Op: "simulated", Err: errors.New("the connection broke")}
	errRefused = &blob.Error{Op: "simulated", Err: blob.ErrThrottled}
	errLate    = &blob.Error{Op: "simulated", Err: errors.New("the signature is too old")}
	errDead    = &blob.Error{Op: "simulated", Err: errors.New("the process was killed")}
)

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 17)), inner: memblob.New(), faultAt: -1}
	w.changes = []int{0, 3, 10, 30}[w.rng.IntN(4)]
	w.leaps = []int{0, 100, 300}[w.rng.IntN(3)]
	w.pauses = []int{0, 100, 400}[w.rng.IntN(3)]
	w.kills = []int{0, 150, 600}[w.rng.IntN(3)]
	return w
}

// start begins a process that does something with its own view of the cache.
func (w *world) start(name string, f func(ctx context.Context, p *process) error) *process {
	p := &process{w: w, name: name, done: make(chan struct{}), rank: w.rng.Float64()}
	if w.rng.IntN(2) == 0 {
		p.from = w.rng.IntN(120)
	}
	p.bucket = blob.Intercept(w.inner, p.around)
	p.cache = cacheIn(w.t, p.bucket)
	go func() {
		defer close(p.done)
		p.err = f(w.t.Context(), p)
	}()
	return p
}

func (p *process) around(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
	w := p.w
	r := &request{p: p, op: call.Op, key: call.Key, since: time.Now(), verdict: make(chan verdict, 1)}
	w.mu.Lock()
	if p.dead {
		w.mu.Unlock()
		return errDead
	}
	w.waiting = append(w.waiting, r)
	w.mu.Unlock()
	var v verdict
	select {
	case v = <-r.verdict:
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		w.waiting = slices.DeleteFunc(w.waiting, func(o *request) bool { return o == r })
		return context.Cause(ctx)
	}
	switch v {
	case refused:
		return errRefused
	case tooLate:
		return errLate
	case unsent:
		return errDead
	}
	err := do(ctx)
	if v == lost {
		return errLost
	}
	return err
}

// run takes steps until all processes have ended, and calls check after each.
func (w *world) run(check func() error, processes ...*process) error {
	for range 100_000 {
		synctest.Wait()
		if err := check(); err != nil {
			return err
		}
		if !slices.ContainsFunc(processes, func(p *process) bool { return !p.ended() }) {
			return nil
		}
		w.step()
	}
	return errors.New("the processes do not end")
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// step serves a request, or lets time pass.
func (w *world) step() {
	w.mu.Lock()
	ready := slices.DeleteFunc(slices.Clone(w.waiting), func(r *request) bool {
		return time.Now().Before(r.p.until) || w.steps < r.p.from
	})
	early := len(w.waiting) > len(ready)
	w.mu.Unlock()
	slices.SortFunc(ready, func(a, b *request) int {
		return cmp.Or(strings.Compare(a.p.name, b.p.name), strings.Compare(a.key, b.key), strings.Compare(a.op, b.op))
	})
	chance := func(n int) bool { return n > 0 && w.rng.IntN(n) == 0 }
	if len(ready) == 0 && early {
		w.steps++ // for processes that have not begun
	}
	if len(ready) == 0 {
		time.Sleep([]time.Duration{100 * time.Millisecond, time.Second, time.Minute}[w.rng.IntN(3)])
		return
	}
	if chance(w.leaps) {
		leap := []time.Duration{time.Second, time.Minute, 4 * time.Minute, 9 * time.Minute, 14 * time.Minute, 31 * time.Minute, 70 * time.Minute}[w.rng.IntN(7)]
		w.note("time passes: %v", leap)
		time.Sleep(leap)
		return
	}
	r := w.choose(ready)
	if chance(w.pauses) {
		r.p.until = time.Now().Add([]time.Duration{time.Minute, 12 * time.Minute, 45 * time.Minute, 3 * time.Hour}[w.rng.IntN(4)])
		w.note("%s is paused until %v", r.p.name, r.p.until.Format(time.TimeOnly))
		return
	}
	v := served
	switch {
	case time.Since(r.since) > 15*time.Minute:
		v = tooLate
	case w.steps == w.faultAt && w.faultLost:
		v = lost
	case w.steps == w.faultAt:
		v = refused
	}
	w.steps++
	if chance(w.kills) {
		w.kill(r.p)
		if v = unsent; w.rng.IntN(2) == 0 {
			v = lost
		}
	}
	w.note("%s %s %s %v", r.p.name, r.op, r.key, [...]string{"", "(answer lost)", "(refused)", "(too late)", "(unsent)"}[v])
	w.mu.Lock()
	w.waiting = slices.DeleteFunc(w.waiting, func(o *request) bool { return o == r })
	w.mu.Unlock()
	r.verdict <- v
}

// choose returns the request that is served next.
func (w *world) choose(ready []*request) *request {
	if w.changes == 0 {
		return ready[w.rng.IntN(len(ready))]
	}
	r := slices.MaxFunc(ready, func(a, b *request) int { return cmp.Compare(a.p.rank, b.p.rank) })
	if w.rng.IntN(w.changes) == 0 {
		r.p.rank = w.rng.Float64() - 1 // behind those that were not changed
	}
	return r
}

// kill ends a process: nothing that it sends from now on arrives.
func (w *world) kill(p *process) {
	w.note("%s is killed", p.name)
	w.mu.Lock()
	defer w.mu.Unlock()
	p.dead = true
	w.waiting = slices.DeleteFunc(w.waiting, func(r *request) bool {
		if r.p == p {
			r.verdict <- unsent
		}
		return r.p == p
	})
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, time.Now().Format("02 15:04:05 ")+fmt.Sprintf(format, args...))
}

// visible reads the narinfos as they are, by base name.
func (w *world) visible() (map[string]*narinfo.NarInfo, error) {
	infos := map[string]*narinfo.NarInfo{}
	for attrs, err := range w.inner.List(w.t.Context(), blob.ListOptions{Shallow: true}) {
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(attrs.Key, ".narinfo") {
			continue
		}
		text, _, err := blob.ReadAll(w.t.Context(), w.inner, attrs.Key, 1<<20)
		if err != nil {
			return nil, err
		}
		info, err := narinfo.Parse(text)
		if err != nil {
			return nil, err
		}
		infos[info.Path.String()] = info
	}
	return infos, nil
}

// whole is what must hold after each step.
func (w *world) whole() error {
	infos, err := w.visible()
	if err != nil {
		return err
	}
	for _, info := range infos {
		if _, err := w.inner.Head(w.t.Context(), info.URL); err != nil {
			return fmt.Errorf("%s is visible without its archive: %w", info.Path, err)
		}
		for _, ref := range info.References {
			if infos[ref.String()] == nil {
				return fmt.Errorf("%s is visible without its reference %s", info.Path, ref)
			}
		}
	}
	return nil
}
