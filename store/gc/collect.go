package gc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/lease"
)

// collector is one run.
type collector struct {
	cache *store.Cache
	b     blob.Bucket
	opts  Options
	clock clock
	run   string
	lock  *lock // nil in a dry run

	pathsGiven bool // the paths that go are given, however recent they are

	versions versionDeleter // nil where the bucket keeps no versions

	g         graph
	changed   bool            // the graph is not the one that was stored
	links     map[digest]link // by the digest of the key
	condemned map[digest]seconds

	keepers      []keeper
	keeperOf     map[string]id
	keptBy       []uint16        // in keepers, by path
	keptStems    map[digest]bool // archives that stay whatever refers to them
	oldestWriter time.Time       // when the oldest of the writers at work began; zero where there is none
	missing      []MissingRoot
	broken       []Broken
	orphans      []orphan
	dangling     []blob.Attrs // realisations whose path does not stay
	uploads      []blob.Upload

	report Report
}

// Collect makes everything invisible that no root keeps, as the comment of the
// package describes, and destroys what earlier runs have condemned. A run that
// fails or is killed leaves the cache sound; the next one finishes its work.
//
// The report is valid in every case. A cache that cannot be collected is one of
// ErrLocked, ErrConditions, ErrNoDelete, ErrBroken, ErrBadRoot and ErrNoRoot.
func Collect(ctx context.Context, cache *store.Cache, opts Options) (*Report, error) {
	c := newCollector(cache, opts)
	var err error
	if opts.DryRun {
		err = c.dryRun(ctx)
	} else {
		err = c.locked(ctx, c.collect)
	}
	return c.result(), err
}

// result returns the report alone, so that it does not hold on to the graph. An
// empty list is not null in JSON.
func (c *collector) result() *Report {
	r := c.report
	orEmpty(&r.ByRoot)
	orEmpty(&r.ByAge)
	orEmpty(&r.Paths)
	orEmpty(&r.Restored)
	orEmpty(&r.Lost)
	orEmpty(&r.MissingRoots)
	for _, names := range []*[]string{&r.RootsRemoved, &r.Dangling, &r.Broken} {
		orEmpty(names)
	}
	return &r
}

func orEmpty[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

func newCollector(cache *store.Cache, opts Options) *collector {
	opts.setDefaults()
	return &collector{cache: cache, b: cache.Bucket(), opts: opts, keptStems: map[digest]bool{},
		keeperOf: map[string]id{}, condemned: map[digest]seconds{}, report: Report{DryRun: opts.DryRun}}
}

// newName returns a name that is unique and sorts by time.
func newName(now time.Time) string {
	return now.UTC().Format("20060102T150405Z") + strings.ToLower(rand.Text()[:8])
}

// locked runs f with the lock of the cache. What f does is safe to be done while
// writers work, except sweeping.
func (c *collector) locked(ctx context.Context, f func(context.Context) error) (err error) {
	if _, err := c.cache.CacheInfo(ctx); err != nil {
		return err
	}
	if c.clock, c.versions, err = probe(ctx, c.b, c.opts.Alone); err != nil {
		return err
	}
	c.run = newName(c.clock.now())
	c.report.Begun = c.clock.now()
	lock, working, err := takeLock(ctx, c.b, c.clock, c.run, c.opts)
	if err != nil {
		return err
	}
	c.lock = lock
	err = f(working)
	if cause := context.Cause(working); cause != nil && err != nil {
		err = errors.Join(cause, err)
	}
	if errors.Is(err, errUnknown) {
		// A request to delete may still arrive.
		lock.abandon()
		return fmt.Errorf("%w; writers and collectors wait until the lock expires in %v", err, lease.LockTTL)
	}
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	return errors.Join(err, lock.release(releasing))
}

// releaseTime bounds the time that giving the lock back takes.
const releaseTime = 30 * time.Second

// errUnknown is a deletion of which it is not known whether it was done or still
// will be.
var errUnknown = errors.New("the outcome of a deletion is not known")

// stillLocked fails when the lock was lost. Every write and deletion asks it
// before.
func (c *collector) stillLocked() error {
	if c.lock == nil {
		return nil
	}
	return c.lock.check()
}

// dryRun finds out what would go, by the clock of this machine.
func (c *collector) dryRun(ctx context.Context) error {
	if _, err := c.cache.CacheInfo(ctx); err != nil {
		return err
	}
	c.clock = newClock(time.Now())
	c.report.Begun = c.clock.now()
	if err := c.plan(ctx); err != nil {
		return err
	}
	if err := c.findOrphans(ctx); err != nil {
		return err
	}
	c.fill()
	if _, _, err := lease.ReadState(ctx, c.b); err != nil || !c.changed {
		return nil
	}
	// Only a cache under collection gets objects of ours.
	if err := c.remember(ctx); err != nil {
		c.opts.Logger.InfoContext(ctx, "the graph of the cache was not stored", "bucket", c.b.String(), "error", err)
	}
	return ctx.Err()
}

// plan finds out what stays.
func (c *collector) plan(ctx context.Context) error {
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
	over, err := c.markRoots(ctx)
	if err != nil {
		return err
	}
	c.report.RootsRemoved = over
	if err := c.markGiven(); err != nil {
		return err
	}
	leases, err := lease.List(ctx, c.b)
	if err != nil {
		return err
	}
	c.report.Busy = c.markLeases(leases)
	c.markRecent()
	return nil
}

// tolerate fails if there are broken narinfos and the options do not keep them.
func (c *collector) tolerate() error {
	if len(c.broken) == 0 || c.opts.KeepBroken {
		return nil
	}
	const shown = 5
	var errs []error
	for _, b := range c.broken[:min(len(c.broken), shown)] {
		errs = append(errs, b.Err)
	}
	return fmt.Errorf("nothing is deleted, since %d narinfos cannot be read; repair or delete them, or keep them with --broken keep: %w",
		len(c.broken), errors.Join(errs...))
}
