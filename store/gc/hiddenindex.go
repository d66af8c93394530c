package gc

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// HiddenIndex reports from memory whether the journals of a cache may hold a
// path, so that a gateway asks [Revive] for those paths only. It keeps 8 bytes
// for each of at most 4,194,304 paths, of the newest runs first, and ranges of
// hash parts for the rest. It is safe for concurrent use.
type HiddenIndex struct {
	b   blob.Bucket
	ttl time.Duration

	reading chan struct{} // of one place: held to read journals

	mu   sync.Mutex
	runs map[string]*hiddenRun
	read time.Time // when the journals were listed; zero before
}

// maxHidden bounds the paths that a HiddenIndex keeps, over all runs.
const maxHidden = 4 << 20

// hiddenRun is what is kept of a journal, which never changes.
type hiddenRun struct {
	paths []uint64    // beginnings of hash parts, sorted
	rest  []indexPart // that were not read
}

// NewHiddenIndex returns an index that lists the journals when it is asked and
// the last listing is older than ttl. It reads the journals of new runs only.
func NewHiddenIndex(cache *store.Cache, ttl time.Duration) *HiddenIndex {
	return &HiddenIndex{b: cache.Bucket(), ttl: ttl, reading: make(chan struct{}, 1)}
}

// MayHave reports whether a journal may hold the path with a hash part. It is
// wrong about runs that began since the last listing, and says true of very few
// paths that no journal holds. It fails where the journals cannot be read.
func (x *HiddenIndex) MayHave(ctx context.Context, base string) (bool, error) {
	h, ok := parseHashPart(base)
	if !ok {
		return false, nil
	}
	runs, fresh := x.known()
	if !fresh {
		select {
		case x.reading <- struct{}{}:
			defer func() { <-x.reading }()
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		if runs, fresh = x.known(); !fresh { // nobody else has read them meanwhile
			var err error
			if runs, err = x.refresh(ctx, runs); err != nil {
				return false, err
			}
		}
	}
	key := layout.NarInfoKey(base)
	for _, r := range runs {
		if _, found := slices.BinarySearch(r.paths, begin(h)); found {
			return true, nil
		}
		for _, p := range r.rest {
			if key >= p.First && key <= p.Last {
				return true, nil
			}
		}
	}
	return false, nil
}

func begin(h hashPart) uint64 { return binary.BigEndian.Uint64(h[:]) }

func (x *HiddenIndex) known() (runs map[string]*hiddenRun, fresh bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.runs, !x.read.IsZero() && time.Since(x.read) < x.ttl
}

// refresh lists the journals and reads those that are not in old.
func (x *HiddenIndex) refresh(ctx context.Context, old map[string]*hiddenRun) (map[string]*hiddenRun, error) {
	asked := time.Now()
	names, err := listRuns(ctx, x.b)
	if err != nil {
		return nil, err
	}
	runs := map[string]*hiddenRun{}
	n := 0
	for _, name := range names {
		if r := old[name]; r != nil {
			runs[name] = r
			n += len(r.paths)
		}
	}
	for _, name := range names {
		if runs[name] != nil {
			continue
		}
		r, err := x.readRun(ctx, name, maxHidden-n)
		if isNoRun(err) || isMissing(err) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		runs[name] = r
		n += len(r.paths)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.runs, x.read = runs, asked
	return runs, nil
}

// readRun reads a journal, parts with at most limit entries of it.
func (x *HiddenIndex) readRun(ctx context.Context, name string, limit int) (*hiddenRun, error) {
	journal, err := readIndex(ctx, x.b, name)
	if err != nil {
		return nil, err
	}
	r := &hiddenRun{}
	for n, part := range journal.Parts {
		if len(r.paths)+part.Entries > limit {
			r.rest = append(r.rest, part)
			continue
		}
		err := readPart(ctx, x.b, name, n, func(e *entry) error {
			if base, ok := layout.ParseNarInfoKey(e.Key); ok {
				if h, ok := parseHashPart(base); ok {
					r.paths = append(r.paths, begin(h))
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(r.paths)
	return r, nil
}

// listRuns returns the names of the runs with a journal, the newest first.
func listRuns(ctx context.Context, b blob.Bucket) ([]string, error) {
	var runs []string
	for attrs, err := range b.List(ctx, blob.ListOptions{Prefix: runPrefix}) {
		if err != nil {
			return nil, err
		}
		if run, ok := strings.CutSuffix(strings.TrimPrefix(attrs.Key, runPrefix), indexName); ok {
			runs = append(runs, run)
		}
	}
	slices.Reverse(runs)
	return runs, nil
}
