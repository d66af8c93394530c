package serve

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

// kept are paths whose archives were pulled through, and that wait for their
// references to be visible in the cache itself.
type kept struct {
	mu      sync.Mutex
	waiting map[storepath.Path][]store.Pending // by a reference that is missing
	n       int
}

// maxKept bounds the paths that wait. Others are served from their upstream.
const maxKept = 10_000

// publish makes a path visible, or lets it wait, and then those that waited for
// it. It publishes one path at a time, so that none begins to wait for a path
// that has just become visible.
func (k *kept) publish(ctx context.Context, p store.Pending, log *slog.Logger) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for ready := []store.Pending{p}; len(ready) > 0; {
		p, ready = ready[0], ready[1:]
		path := p.NarInfo().Path
		err := p.Publish(ctx)
		if missing, ok := errors.AsType[*store.MissingReferenceError](err); ok && len(missing.References) > 0 {
			k.wait(missing.References[0], p)
			continue
		}
		if err != nil {
			log.Error("publishing a path of an upstream", "path", path.String(), "error", err)
			continue
		}
		ready = append(ready, k.waiting[path]...)
		k.n -= len(k.waiting[path])
		delete(k.waiting, path)
	}
}

func (k *kept) wait(ref storepath.Path, p store.Pending) {
	waits := func(other store.Pending) bool { return other.NarInfo().Path == p.NarInfo().Path }
	if k.n >= maxKept || slices.ContainsFunc(k.waiting[ref], waits) {
		return
	}
	if k.waiting == nil {
		k.waiting = map[storepath.Path][]store.Pending{}
	}
	k.waiting[ref] = append(k.waiting[ref], p)
	k.n++
}
