package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/gc"
	"example.com/nixs3/store/layout"
)

// reviver makes paths visible again that a collector has hidden, when a client
// asks for them. It is safe for concurrent use.
type reviver struct {
	cache   *store.Cache
	working chan struct{} // of one place: a collector's lock admits one revival

	mu     sync.Mutex
	noRuns time.Time // when no run of a collector could be undone
}

// noRunsTTL is how long a cache without journals counts as such, so that misses
// cost one request where no collector works.
const noRunsTTL = 10 * time.Second

func newReviver(cache *store.Cache) *reviver {
	return &reviver{cache: cache, working: make(chan struct{}, 1)}
}

// restore is a serve.Options.Restore.
func (r *reviver) restore(ctx context.Context, hashPart string) (bool, error) {
	collected, err := r.anyRuns(ctx)
	if err != nil || !collected {
		return false, err
	}
	select {
	case r.working <- struct{}{}:
		defer func() { <-r.working }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	// The revival of a path that refers to this one may have restored it.
	if _, _, err := r.cache.ReadObject(ctx, layout.NarInfoKey(hashPart)); err == nil {
		return true, nil
	}
	_, err = gc.Revive(ctx, r.cache, hashPart)
	if impossible(err) || errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// anyRuns reports whether the cache has journals of hidden paths.
func (r *reviver) anyRuns(ctx context.Context) (bool, error) {
	r.mu.Lock()
	known := !r.noRuns.IsZero() && time.Since(r.noRuns) < noRunsTTL
	r.mu.Unlock()
	if known {
		return false, nil
	}
	asked := time.Now()
	runs, err := gc.Runs(ctx, r.cache)
	if err != nil && !impossible(err) && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	if len(runs) > 0 {
		return true, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noRuns = asked
	return false, nil
}

// impossible reports whether the bucket can never revive a path for this
// process: it lists nothing, or takes nothing from it.
func impossible(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, blob.ErrAccessDenied) || errors.Is(err, blob.ErrReadOnly)
}
