package store

import (
	"context"
	"sync"

	"example.com/nixs3/narinfo/storepath"
)

// keyedMutex lets one caller at a time work on a path: two additions of the
// same path within a process cost one.
type keyedMutex struct {
	mu   sync.Mutex
	held map[storepath.Path]chan struct{}
}

// lock waits until nobody else holds the path, and tells whether it had to.
func (k *keyedMutex) lock(ctx context.Context, p storepath.Path) (unlock func(), waited bool, err error) {
	for {
		k.mu.Lock()
		busy, ok := k.held[p]
		if !ok {
			if k.held == nil {
				k.held = map[storepath.Path]chan struct{}{}
			}
			mine := make(chan struct{})
			k.held[p] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				delete(k.held, p)
				k.mu.Unlock()
				close(mine)
			}, waited, nil
		}
		k.mu.Unlock()
		waited = true
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, waited, context.Cause(ctx)
		}
	}
}
