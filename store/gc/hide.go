package gc

import (
	"context"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lease"
)

// Hide makes paths invisible, and all that refer to them: never one before all
// that refer to it, and with a journal, so that [Undo] brings them back. It
// works beside writers and collectors as Collect does. Archives stay, and what
// refers to nothing hidden stays visible, whether a root keeps it or not. Paths
// that the cache does not have are ignored. Paths that writers at
// work have leased stay, as do narinfos that cannot be read.
//
// Of the options, Grace, Alone, Logger and Progress count. Report.Paths has all
// that were hidden, and Report.Run names the run for Undo; it is empty where
// nothing was hidden.
func Hide(ctx context.Context, cache *store.Cache, paths []storepath.Path, opts Options) (*Report, error) {
	c := newCollector(cache, Options{Grace: opts.Grace, Alone: opts.Alone, Logger: opts.Logger, Progress: opts.Progress, Paths: -1})
	c.pathsGiven = true
	err := c.locked(ctx, func(ctx context.Context) error { return c.hidePaths(ctx, paths) })
	return c.result(), err
}

// hidePaths sweeps the paths, as Collect sweeps garbage.
func (c *collector) hidePaths(ctx context.Context, paths []storepath.Path) error {
	if err := c.recall(ctx); err != nil {
		return err
	}
	if _, err := c.look(ctx); err != nil {
		return err
	}
	c.keepAllBut(paths)
	garbage := c.garbage()
	if len(garbage) == 0 {
		return nil
	}
	spare, err := c.journal(ctx, garbage, nil)
	if err != nil {
		return err
	}
	c.mark(noKeeperID, spare...)
	if err := c.enterSweep(ctx); err != nil {
		return err
	}
	// As in spare, but no root keeps what has to go.
	leases, err := lease.List(ctx, c.b)
	if err != nil {
		return err
	}
	c.report.Busy = c.markLeases(leases)
	changed, err := c.look(ctx)
	if err != nil || c.report.Busy {
		return err
	}
	c.mark(noKeeperID, changed...)
	c.again()
	c.fill()
	c.report.Run = c.run
	return c.hide(ctx)
}

// keepAllBut keeps what is visible but the paths and all that refer to them.
func (c *collector) keepAllBut(paths []storepath.Path) {
	users := map[id][]id{}
	for i := range c.g.visible {
		for _, ref := range c.g.references(i) {
			users[ref] = append(users[ref], i)
		}
	}
	hidden := map[id]bool{}
	var todo []id
	for _, p := range paths {
		if i, ok := c.pathID(p); ok {
			todo = append(todo, i)
		}
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !hidden[i] {
			hidden[i] = true
			todo = append(todo, users[i]...)
		}
	}
	for i := range c.g.visible {
		if !hidden[i] {
			c.g.marks[i] |= kept
		}
	}
}
