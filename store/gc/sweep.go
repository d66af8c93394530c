package gc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/lease"
	"example.com/nixs3/store/layout"
)

// collect is a run that holds the lock.
func (c *collector) collect(ctx context.Context) error {
	if err := c.plan(ctx); err != nil {
		return err
	}
	if err := c.heal(ctx); err != nil {
		return err
	}
	if err := c.findOrphans(ctx); err != nil {
		return err
	}
	c.fill()
	if err := c.removeRoots(ctx, c.report.RootsRemoved); err != nil {
		return err
	}
	if !c.report.Busy {
		if err := c.sweep(ctx); err != nil {
			return err
		}
	}
	if err := c.rememberCondemned(ctx); err != nil {
		return err
	}
	if c.changed {
		if err := c.remember(ctx); err != nil {
			return err
		}
	}
	return c.tidy(ctx)
}

// removeRoots removes roots that keep nothing any more.
func (c *collector) removeRoots(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := c.stillLocked(); err != nil {
			return err
		}
		if err := removeWith(ctx, c.b, c.versions, rootPrefix+name); err != nil {
			return fmt.Errorf("removing the root %q: %w", name, err)
		}
	}
	return nil
}

// garbage returns the visible paths that do not stay.
func (c *collector) garbage() []id {
	var ids []id
	for i := range c.g.visible {
		if c.g.marks[i]&kept == 0 {
			ids = append(ids, i)
		}
	}
	return ids
}

// sweep deletes what does not stay, as far as no writer at work needs it.
func (c *collector) sweep(ctx context.Context) error {
	garbage, dangling := c.garbage(), c.oldRealisations()
	if len(garbage) == 0 && len(dangling) == 0 && len(c.uploads) == 0 && !slices.ContainsFunc(c.orphans, c.ripe) {
		return nil
	}
	if len(garbage) > 0 || len(dangling) > 0 {
		spare, err := c.journal(ctx, garbage, dangling)
		if err != nil {
			return err
		}
		c.report.Run = c.run
		c.mark(noKeeperID, spare...)
	}
	if err := c.enterSweep(ctx); err != nil {
		return err
	}
	if err := c.spare(ctx); err != nil || c.report.Busy {
		return err
	}
	c.fill()
	if err := c.hide(ctx); err != nil {
		return err
	}
	if err := c.destroy(ctx); err != nil {
		return err
	}
	// A writer that knows nothing of collectors may have relied on something
	// in between.
	if err := c.lock.enter(ctx, lease.Restoring); err != nil {
		return err
	}
	return c.healNew(ctx)
}

// enterSweep lets writers know that paths go.
func (c *collector) enterSweep(ctx context.Context) error {
	// Writers that began before the cache came under collection have to notice.
	if wait := c.lock.state.Since.Add(lease.Settle).Sub(c.clock.now()); wait > 0 {
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	return c.lock.enter(ctx, lease.Sweeping)
}

// oldRealisations are those that lead to nothing that stays and may be removed.
func (c *collector) oldRealisations() []blob.Attrs {
	return slices.DeleteFunc(slices.Clone(c.dangling), func(attrs blob.Attrs) bool {
		return !c.old(secondsOf(attrs.ModTime), c.opts.Recent)
	})
}

// spare keeps what has become wanted since the marking. Writers that are at work
// now have seen the sweep, or are seen here: a lease first, because a writer that
// ends publishes before its lease goes.
func (c *collector) spare(ctx context.Context) error {
	leases, err := lease.List(ctx, c.b)
	if err != nil {
		return err
	}
	c.report.Busy = c.markLeases(leases)
	changed, err := c.look(ctx)
	if err != nil {
		return err
	}
	if err := c.tolerate(); err != nil {
		return err
	}
	c.mark(c.keeper("(recent)"), changed...)
	if _, err := c.markRoots(ctx); err != nil {
		return err
	}
	c.again()
	return nil
}

// again marks again from the kept paths: a path may have other references than when
// it was marked.
func (c *collector) again() {
	var roots []id
	for i, m := range c.g.marks {
		if m&kept != 0 {
			roots = append(roots, id(i))
		}
	}
	for _, i := range roots {
		for _, ref := range c.g.references(i) {
			if c.g.marks[ref]&kept == 0 {
				c.mark(noKeeperID, ref)
			}
		}
	}
}

// hide deletes the narinfos of the garbage, and the realisations that lead to
// it. A narinfo goes after all that refer to it.
func (c *collector) hide(ctx context.Context) error {
	n := c.needs()
	var keys []string
	for _, attrs := range c.oldRealisations() {
		if !c.needed(attrs.Key, n) {
			keys = append(keys, attrs.Key)
		}
	}
	if err := c.delete(ctx, keys); err != nil {
		return err
	}
	c.report.Realisations = len(keys)
	garbage := c.garbage()
	done := 0
	for wave := range c.waves(garbage) {
		keys := make([]string, len(wave))
		for n, i := range wave {
			keys[n] = layout.NarInfoKey(c.g.hash[i].String())
		}
		if err := c.delete(ctx, keys); err != nil {
			return err
		}
		for _, i := range wave {
			c.g.marks[i] &^= listed
		}
		c.changed = true
		done += len(wave)
		c.opts.Progress(Progress{Step: Sweeping, Done: done, Total: len(garbage)})
	}
	return nil
}

// waves yields paths such that all that refer to a path come in an earlier wave.
// Paths in a circle come last, and together.
func (c *collector) waves(ids []id) iter.Seq[[]id] {
	return func(yield func([]id) bool) {
		g := &c.g
		const done = -1
		users := make([]int32, g.len()) // of the paths that are waited for
		for i := range users {
			users[i] = done
		}
		for _, i := range ids {
			users[i] = 0
		}
		for _, i := range ids {
			for _, ref := range g.references(i) {
				if users[ref] != done {
					users[ref]++
				}
			}
		}
		free := func(i id) bool { return users[i] == 0 }
		for wave := slices.Collect(filter(ids, free)); len(wave) > 0; {
			if !yield(wave) {
				return
			}
			var next []id
			for _, i := range wave {
				users[i] = done
				for _, ref := range g.references(i) {
					if users[ref] == done {
						continue
					}
					if users[ref]--; users[ref] == 0 {
						next = append(next, ref)
					}
				}
			}
			wave = next
		}
		if circle := slices.Collect(filter(ids, func(i id) bool { return users[i] != done })); len(circle) > 0 {
			yield(circle)
		}
	}
}

func filter[T any](items []T, ok func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, item := range items {
			if ok(item) && !yield(item) {
				return
			}
		}
	}
}

// destroy deletes the objects that have been orphans for long enough.
func (c *collector) destroy(ctx context.Context) error {
	if err := c.lookAgain(ctx); err != nil {
		return err
	}
	n := c.needs()
	var keys []string
	var rest []orphan
	var destroyed, condemned Objects
	for _, o := range c.orphans {
		switch {
		case c.needed(o.key, n): // since the marking
		case c.ripe(o):
			keys = append(keys, o.key)
			destroyed.add(o.size)
		default:
			rest = append(rest, o)
			condemned.add(o.size)
		}
	}
	if c.opts.Manifest != nil {
		for _, key := range keys {
			if err := c.opts.Manifest(key); err != nil {
				return err
			}
		}
	} else if err := c.delete(ctx, keys); err != nil {
		return err
	} else {
		c.orphans = rest
	}
	c.report.Destroyed, c.report.Condemned = destroyed, condemned
	return c.abortUploads(ctx)
}

// lookAgain asks the bucket for the archives of an inventory that would be
// destroyed: since the inventory was made, a writer that knows nothing of
// collectors may have written one again, and be about to refer to it.
func (c *collector) lookAgain(ctx context.Context) error {
	if c.opts.Inventory == nil {
		return nil
	}
	var ripe []int
	for i, o := range c.orphans {
		if layout.KindOf(o.key) == layout.Archive && c.ripe(o) {
			ripe = append(ripe, i)
		}
	}
	return inParallel(ctx, ripe, func(ctx context.Context, i int) error {
		o := &c.orphans[i]
		attrs, err := c.b.Head(ctx, o.key)
		if errors.Is(err, blob.ErrNotFound) {
			return nil // deleted once more
		}
		if err != nil {
			return err
		}
		o.size, o.added = attrs.Size, secondsOf(attrs.ModTime)
		return nil
	})
}

// delete deletes objects while the lock is held. A cancelled run waits for the
// answers of what it has sent.
func (c *collector) delete(ctx context.Context, keys []string) error {
	return inParallel(ctx, slices.Collect(slices.Chunk(keys, deleteBatch)), func(ctx context.Context, batch []string) error {
		if err := c.stillLocked(); err != nil {
			return err
		}
		if err := c.deleteNow(context.WithoutCancel(ctx), batch); err != nil {
			if !errors.Is(err, blob.ErrAccessDenied) {
				err = fmt.Errorf("%w: %w", errUnknown, err)
			}
			return err
		}
		return nil
	})
}

func (c *collector) deleteNow(ctx context.Context, keys []string) error {
	ctx, cancel := context.WithTimeout(ctx, deleteTime)
	defer cancel()
	return removeWith(ctx, c.b, c.versions, keys...)
}

// healNew looks for narinfos that were published during the sweep and brings
// back what they lack.
func (c *collector) healNew(ctx context.Context) error {
	changed, err := c.look(ctx)
	if err != nil {
		return err
	}
	if err := c.tolerate(); err != nil {
		return err
	}
	c.mark(c.keeper("(recent)"), changed...)
	return c.heal(ctx)
}
