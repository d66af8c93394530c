package gc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lease"
)

// DeleteOptions say what Delete takes along. The zero value takes nothing.
type DeleteOptions struct {
	// Referrers takes along the paths that refer to the deleted ones, directly
	// or through others.
	Referrers bool

	Options // Grace, KeepBroken, Alone, Paths, Logger and Progress
}

// Delete makes single paths invisible, as Collect does with what no root keeps:
// each after all that refer to it, and with a journal that Undo can bring back.
// It fails with store.ErrReferenced where other paths refer to one of them, and
// with store.ErrNotFound for a path that the cache does not have. What a writer
// at work has leased, or a root names, it does not delete.
func Delete(ctx context.Context, cache *store.Cache, paths []storepath.Path, opts DeleteOptions) (*Report, error) {
	c := newCollector(cache, opts.Options)
	c.pathsGiven = true
	err := c.locked(ctx, func(ctx context.Context) error { return c.deletePaths(ctx, paths, opts.Referrers) })
	return c.result(), err
}

// ErrRooted is a path that a root keeps, or a writer at work.
var ErrRooted = errors.New("path is kept")

func (c *collector) deletePaths(ctx context.Context, paths []storepath.Path, referrers bool) error {
	if err := c.recall(ctx); err != nil {
		return err
	}
	if err := c.recallCondemned(ctx); err != nil {
		return err
	}
	if _, err := c.look(ctx); err != nil {
		return err
	}
	if err := c.tolerate(); err != nil {
		return err
	}
	if _, err := c.markRoots(ctx); err != nil {
		return err
	}
	leases, err := lease.List(ctx, c.b)
	if err != nil {
		return err
	}
	if c.report.Busy = c.markLeases(leases); c.report.Busy {
		return nil
	}
	goes, err := c.deleted(paths, referrers)
	if err != nil {
		return err
	}
	for i := range c.g.visible {
		if !goes[i] {
			c.mark(noKeeperID, i)
		}
	}
	if err := c.findOrphans(ctx); err != nil {
		return err
	}
	c.fill()
	if err := c.sweep(ctx); err != nil {
		return err
	}
	if err := c.rememberCondemned(ctx); err != nil {
		return err
	}
	return c.remember(ctx)
}

// deleted returns the paths that go: those given, and where asked for those that
// refer to them.
func (c *collector) deleted(paths []storepath.Path, referrers bool) (map[id]bool, error) {
	g := &c.g
	goes := map[id]bool{}
	for _, p := range paths {
		h, _ := parseHashPart(p.HashPart())
		i := g.find(h)
		if i == noID || g.marks[i]&listed == 0 {
			return nil, fmt.Errorf("%s is not in %s: %w", p, c.b, store.ErrNotFound)
		}
		goes[i] = true
	}
	for grown := true; grown; {
		grown = false
		for i := range g.visible {
			if goes[i] {
				continue
			}
			n := slices.IndexFunc(g.references(i), func(ref id) bool { return goes[ref] })
			if n < 0 {
				continue
			}
			if !referrers {
				return nil, fmt.Errorf("%s: %w, such as %s; delete that too, or all that refer to it by --referrers", g.base(g.references(i)[n]), store.ErrReferenced, g.base(i))
			}
			goes[i], grown = true, true
		}
	}
	for i := range goes {
		if g.marks[i]&kept != 0 {
			return nil, fmt.Errorf("%w: a root or a writer at work needs %s", ErrRooted, g.base(i))
		}
	}
	return goes, nil
}
