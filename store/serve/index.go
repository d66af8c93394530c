package serve

import (
	"context"
	"slices"
	"sync"
	"time"

	"example.com/nixs3/narinfo/storepath"
)

// indexTTL is how long the index of a search is good.
const indexTTL = 10 * time.Minute

// index knows the names and references of the cache's paths. It is made when
// somebody searches, one reading of the cache at a time.
type index struct {
	making chan struct{} // holds one value while the cache is read

	mu       sync.Mutex
	paths    []indexed
	complete bool
	made     time.Time
}

type indexed struct {
	path       storepath.Path
	references []storepath.Path
	narSize    int64
}

// known returns the index if there is one.
func (i *index) known() ([]indexed, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.paths, !i.made.IsZero()
}

// get returns the index, at most maxIndexed paths of the cache by name, and
// whether these are all.
func (i *index) get(ctx context.Context, s *Server) (paths []indexed, complete bool, err error) {
	select {
	case i.making <- struct{}{}:
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
	defer func() { <-i.making }()
	i.mu.Lock()
	paths, complete = i.paths, i.complete
	fresh := !i.made.IsZero() && time.Since(i.made) < indexTTL
	i.mu.Unlock()
	if fresh {
		return paths, complete, nil
	}
	paths, complete = nil, true
	for info, err := range s.cache.NarInfos(ctx) {
		if err != nil {
			return nil, false, err
		}
		if len(paths) == maxIndexed {
			complete = false
			break
		}
		paths = append(paths, indexed{info.Path, info.References, info.NarSize})
	}
	slices.SortFunc(paths, func(a, b indexed) int {
		if a.path.Name() != b.path.Name() {
			if a.path.Name() < b.path.Name() {
				return -1
			}
			return 1
		}
		return a.path.Compare(b.path)
	})
	i.mu.Lock()
	defer i.mu.Unlock()
	i.paths, i.complete, i.made = paths, complete, time.Now()
	return paths, complete, nil
}
