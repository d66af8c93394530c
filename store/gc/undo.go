package gc

import (
	"context"
	"iter"
	"time"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// Undo makes visible again what a run made invisible, each path after all that
// it refers to. It can do so for certain until the grace period of the run is
// over. Paths that cannot come back, since an archive is gone, are in the
// report as Lost. What comes back counts as uploaded now. A run without a journal
// is ErrNoRun.
func Undo(ctx context.Context, cache *store.Cache, run string) (*Report, error) {
	return undo(ctx, cache, run, Options{})
}

func undo(ctx context.Context, cache *store.Cache, run string, opts Options) (*Report, error) {
	c := newCollector(cache, opts)
	// Asked before the lock is taken, since a cache without journals is not
	// locked for nothing.
	x, err := readIndex(ctx, c.b, run)
	if err != nil {
		return c.result(), err
	}
	err = c.locked(ctx, func(ctx context.Context) error {
		if err := c.recall(ctx); err != nil {
			return err
		}
		if _, err := c.look(ctx); err != nil {
			return err
		}
		return c.restoreFrom(ctx, x, func(id) bool { return true })
	})
	return c.result(), err
}

// Run is a run whose journal is in the cache.
type Run struct {
	Name   string    `json:"run"`
	Begun  time.Time `json:"begun"` // by the server's clock
	Holder string    `json:"holder"`
	Until  time.Time `json:"until"` // it can be undone for certain
	Hidden int       `json:"hidden"`
}

// Runs returns the runs that can be undone, the newest first.
func Runs(ctx context.Context, cache *store.Cache) ([]Run, error) {
	found, err := journals(ctx, cache.Bucket())
	if err != nil {
		return nil, err
	}
	runs := make([]Run, len(found))
	for n, x := range found {
		runs[n] = Run{x.Run, x.Begun, x.Holder, x.until(), x.entries()}
	}
	return runs, nil
}

// HiddenPath is a path that a run made invisible and that the journal can bring
// back.
type HiddenPath struct {
	Run       string         `json:"run"`
	Path      storepath.Path `json:"path"`
	NarBytes  int64          `json:"narBytes"`
	FileBytes int64          `json:"fileBytes"` // as the run saw it
	Added     time.Time      `json:"added"`     // when it was uploaded
	Until     time.Time      `json:"until"`     // its archive stays at least
}

// Hidden yields the paths of the journals that are not visible, those of the
// newest run first.
func Hidden(ctx context.Context, cache *store.Cache) iter.Seq2[HiddenPath, error] {
	return func(yield func(HiddenPath, error) bool) {
		b := cache.Bucket()
		visible, err := visibleNow(ctx, b)
		if err != nil {
			yield(HiddenPath{}, err)
			return
		}
		runs, err := journals(ctx, b)
		if err != nil {
			yield(HiddenPath{}, err)
			return
		}
		for _, x := range runs {
			for n := range x.Parts {
				more := true
				err := readPart(ctx, b, x.Run, n, func(e *entry) error {
					base, ok := layout.ParseNarInfoKey(e.Key)
					if h, _ := parseHashPart(base); !more || !ok || visible[h] {
						return nil
					}
					info, err := e.info()
					if err != nil {
						return err
					}
					more = yield(HiddenPath{x.Run, info.Path, info.NarSize, e.FileSize, e.Added, x.until()}, nil)
					return nil
				})
				if err != nil {
					yield(HiddenPath{}, err)
				}
				if err != nil || !more {
					return
				}
			}
		}
	}
}

// visibleNow lists the hash parts of the visible paths.
func visibleNow(ctx context.Context, b blob.Bucket) (map[hashPart]bool, error) {
	visible := map[hashPart]bool{}
	err := list(ctx, b, "", true, func(attrs blob.Attrs) error {
		if base, ok := layout.ParseNarInfoKey(attrs.Key); ok {
			if h, ok := parseHashPart(base); ok {
				visible[h] = true
			}
		}
		return nil
	})
	return visible, err
}
