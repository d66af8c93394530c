package gc

import (
	"context"
	"fmt"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// Revive makes a single path visible again that a run made invisible, and all
// that it refers to. A gateway does so when somebody asks for the path. The
// error wraps store.ErrNotFound where no journal has the path or its archive is
// gone, and ErrLocked while a collector is at work. A search that finds nothing costs a
// listing, and one request for each run of the grace period: a caller remembers
// for a while what was not found.
func Revive(ctx context.Context, cache *store.Cache, base string) (*Report, error) {
	if err := storepath.ValidateHashPart(base); err != nil {
		return nil, err
	}
	c := newCollector(cache, Options{})
	x, err := findEntry(ctx, c.b, layout.NarInfoKey(base))
	if err != nil {
		return c.result(), err
	}
	if x == nil {
		return c.result(), fmt.Errorf("%s was not hidden from %s: %w", base, c.b, store.ErrNotFound)
	}
	err = c.locked(ctx, func(ctx context.Context) error {
		if err := c.recall(ctx); err != nil {
			return err
		}
		if _, err := c.look(ctx); err != nil {
			return err
		}
		h, _ := parseHashPart(base)
		i := c.g.node(h)
		return c.restoreFrom(ctx, x, func(other id) bool { return other == i })
	})
	if err == nil && len(c.report.Lost) > 0 {
		err = fmt.Errorf("%s: %s: %w", c.report.Lost[0].Path, c.report.Lost[0].Reason, store.ErrNotFound)
	}
	return c.result(), err
}

// findEntry returns the newest journal that has an entry with a key, nil where
// none has.
func findEntry(ctx context.Context, b blob.Bucket, key string) (*index, error) {
	runs, err := journals(ctx, b)
	if err != nil {
		return nil, err
	}
	for _, x := range runs {
		for n, p := range x.Parts {
			if key < p.First || key > p.Last {
				continue
			}
			found := false
			err := readPart(ctx, b, x.Run, n, func(e *entry) error {
				found = found || e.Key == key
				return nil
			})
			if err != nil {
				return nil, err
			}
			if found {
				return x, nil
			}
		}
	}
	return nil, nil
}
