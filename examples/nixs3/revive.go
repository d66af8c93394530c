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
	hidden  *gc.HiddenIndex
	working chan struct{} // of one place: a collector's lock admits one revival

	mu     sync.Mutex
	lost   map[string]time.Time // when a hidden path could not be brought back
	denied time.Time            // when the journals could not be listed at all
}

const (
	hiddenTTL = 10 * time.Second // how long the index of hidden paths is good
	lostTTL   = time.Minute      // how long a path counts as lost
	maxLost   = 10_000           // paths that are remembered as lost
)

func newReviver(cache *store.Cache) *reviver {
	return &reviver{cache: cache, hidden: gc.NewHiddenIndex(cache, hiddenTTL), working: make(chan struct{}, 1), lost: map[string]time.Time{}}
}

// restore is a serve.Options.Restore. A path that is not hidden costs no request
// to the bucket while the index is good.
func (r *reviver) restore(ctx context.Context, hashPart string) (bool, error) {
	if r.isLost(hashPart) {
		return false, nil
	}
	hidden, err := r.hidden.MayHave(ctx, hashPart)
	if impossible(err) || errors.Is(err, store.ErrNotFound) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.denied = time.Now()
		return false, nil
	}
	if err != nil || !hidden {
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
		r.noteLost(hashPart)
		return false, nil
	}
	return err == nil, err
}

// isLost reports whether it is known that a path cannot be brought back.
func (r *reviver) isLost(hashPart string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.denied.IsZero() && time.Since(r.denied) < hiddenTTL {
		return true
	}
	at, ok := r.lost[hashPart]
	return ok && time.Since(at) < lostTTL
}

func (r *reviver) noteLost(hashPart string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lost) >= maxLost {
		clear(r.lost)
	}
	r.lost[hashPart] = time.Now()
}

// impossible reports whether the bucket can never revive a path for this
// process: it lists nothing, or takes nothing from it.
func impossible(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, blob.ErrAccessDenied) || errors.Is(err, blob.ErrReadOnly)
}
