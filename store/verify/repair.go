package verify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// RepairOptions say how Repair mends a cache.
type RepairOptions struct {
	// From are the caches and local stores that paths are taken from, the
	// preferred one first. A local store compresses as the cache's settings
	// say, and gives no logs.
	From []store.Source

	// TrustedKeys, when there are any, must have signed what takes the place
	// of a narinfo that is in doubt. Without keys the sources are believed,
	// but never against a NarHash that the cache still has.
	TrustedKeys narinfo.TrustedKeys

	// Search looks for the paths of orphaned archives among all paths of From,
	// for a cache that has lost narinfos and has no listings. It reads every
	// narinfo of every cache of From.
	Search bool

	// Hide makes invisible what cannot be mended, with all that refers to it.
	// gc.Undo brings it back, see [gc.Hide]. A narinfo that cannot be read
	// stays, but what refers to it is hidden.
	Hide bool

	// Remove deletes what no reader needs: listings of paths that are not in
	// the cache, archives that nothing refers to and whose names are false,
	// links to debug files that do not exist, indexes of the whole cache that
	// cannot be read, and unfinished uploads. Sound
	// archives that nothing refers to are left to package gc, since a writer
	// may be about to refer to them.
	Remove bool

	// DryRun changes nothing: the report has what could be done.
	DryRun bool

	// Progress is called after every object that was dealt with, from one
	// goroutine at a time.
	Progress func(done int)
}

// Repair mends what [Check] found: it takes archives and narinfos from other
// stores, through the same verification as every upload, and makes listings,
// links to debug files and nix-cache-info anew from what the cache has. A path
// whose narinfo is not in doubt is only replaced by contents of equal NarHash,
// and keeps its signatures.
//
// What cannot be mended is in the report. Running Check and Repair again
// finishes what was interrupted.
func Repair(ctx context.Context, cache *store.Cache, findings iter.Seq[Finding], opts RepairOptions) (*Report, error) {
	start := time.Now()
	r, err := newRepair(cache, opts)
	if err != nil {
		return &Report{}, err
	}
	for f := range findings {
		r.sort(f)
	}
	err = r.run(ctx)
	r.report.Elapsed = time.Since(start)
	r.report.Bytes = r.bytes.Load()
	slices.Sort(r.report.Keys)
	r.report.Keys = slices.Compact(r.report.Keys)
	if err == nil {
		err = r.report.failure("mended")
	}
	return r.report, err
}

type repair struct {
	opts    RepairOptions
	bucket  blob.Bucket
	plain   *store.Cache           // writes archives and narinfos only
	caches  map[sides]*store.Cache // writes also what belongs to a path
	workers int

	cacheInfo bool
	paths     map[string]*casualty // by hash part
	rebuild   map[string]sides     // by hash part: what is made anew
	indexes   []Finding
	small     []Finding // logs and realisations
	remove    []Finding
	orphans   map[string]bool // keys of orphaned archives

	bytes  atomic.Int64 // of archives that were fetched
	mu     sync.Mutex
	report *Report
	done   int
}

// sides are what belongs to a path beside its archive and narinfo.
type sides struct{ listing, links bool }

// casualty is a path that has to be taken from elsewhere.
type casualty struct {
	hashPart string
	path     storepath.Path // zero where it is not known
	doubt    bool           // the narinfo may be false
	listing  bool           // the path has had a listing
	err      error          // why it could not be had

	// reference says that all that is wrong is that the users lack it, leftover
	// that all that is known of it is its listing.
	reference, leftover bool
	users               []storepath.Path
}

func newRepair(cache *store.Cache, opts RepairOptions) (*repair, error) {
	settings := cache.Settings()
	settings.TrustedKeys, settings.PathInfoCacheSize = nil, 0
	caches := map[sides]*store.Cache{}
	for _, s := range []sides{{}, {listing: true}, {links: true}, {true, true}} {
		settings.WriteListing, settings.IndexDebugInfo = s.listing, s.links
		c, err := store.New(cache.Bucket(), settings)
		if err != nil {
			return nil, err
		}
		caches[s] = c
	}
	return &repair{
		opts: opts, bucket: cache.Bucket(), plain: caches[sides{}], caches: caches, workers: settings.Budget.Transfers,
		paths: map[string]*casualty{}, rebuild: map[string]sides{}, orphans: map[string]bool{},
		report: &Report{},
	}, nil
}

// sort decides what is to be done about a finding.
func (r *repair) sort(f Finding) {
	hashPart := f.Path.HashPart()
	if hashPart == "" {
		hashPart, _, _ = strings.Cut(f.Key, ".")
	}
	switch f.Kind {
	case CacheInfoMissing, CacheInfoInvalid:
		r.cacheInfo = true
	case NarInfoMissing, NarInfoInvalid, NarInfoMisnamed, Untrusted, SignatureInvalid, ContentAddressInvalid, ReferenceUndeclared:
		if layout.KindOf(f.Key) == layout.Realisation {
			r.small = append(r.small, f)
			return
		}
		r.casualty(hashPart, f.Path).doubt = true
	case ReferenceMissing:
		if !f.Also.IsZero() {
			c, known := r.paths[f.Also.HashPart()]
			if !known {
				c = r.casualty(f.Also.HashPart(), f.Also)
				c.reference = true
			}
			c.users = append(c.users, f.Path)
		}
	case ArchiveOrphaned:
		r.orphans[f.Key] = true
	case ListingOrphaned:
		_, known := r.paths[hashPart]
		c := r.casualty(hashPart, f.Path)
		c.listing, c.leftover = true, !known
		r.remove = append(r.remove, f)
	case ListingMissing, ListingInvalid:
		r.rebuild[hashPart] = sides{true, r.rebuild[hashPart].links}
	case IndexInvalid:
		r.indexes = append(r.indexes, f)
	case DebugInfoMissing, DebugInfoInvalid:
		if f.Path.IsZero() {
			r.remove = append(r.remove, f)
			return
		}
		r.rebuild[hashPart] = sides{r.rebuild[hashPart].listing, true}
	case LogInvalid, RealisationInvalid:
		r.small = append(r.small, f)
	case UploadUnfinished, WholeIndexInvalid:
		r.remove = append(r.remove, f)
	default: // of archives
		if f.Path.IsZero() {
			r.remove = append(r.remove, f)
			return
		}
		r.casualty(hashPart, f.Path)
	}
}

// casualty returns the path with a hash part among those to be mended.
func (r *repair) casualty(hashPart string, p storepath.Path) *casualty {
	c := r.paths[hashPart]
	if c == nil {
		c = &casualty{hashPart: hashPart}
		r.paths[hashPart] = c
	}
	if c.path.IsZero() {
		c.path = p
	}
	c.reference, c.leftover = false, false
	return c
}

func (r *repair) run(ctx context.Context) error {
	if r.cacheInfo {
		if err := r.mendCacheInfo(ctx); err != nil {
			return err
		}
	}
	if r.opts.Search && len(r.orphans) > 0 {
		if err := r.search(ctx); err != nil {
			return err
		}
	}
	for _, f := range r.small {
		// The path that a realisation leads to may be what is missing. A path
		// that no source has is not needed if the realisation is replaced.
		if f.Kind != RealisationInvalid || f.Path.IsZero() || r.paths[f.Path.HashPart()] != nil {
			continue
		}
		if has, err := r.plain.Has(ctx, f.Path); err == nil && !has {
			r.casualty(f.Path.HashPart(), f.Path).reference = true
		}
	}
	failed, err := r.mendPaths(ctx)
	if err != nil {
		return err
	}
	if err := r.rebuildAll(ctx); err != nil {
		return err
	}
	if err := r.mendIndexes(ctx); err != nil {
		return err
	}
	if err := r.mendSmall(ctx); err != nil {
		return err
	}
	if err := r.removeAll(ctx, failed); err != nil || !r.opts.Hide || r.opts.DryRun {
		return err
	}
	return r.hide(ctx, failed)
}

// mendPaths takes paths from elsewhere, those that others refer to first, and
// returns those that could not be had.
func (r *repair) mendPaths(ctx context.Context) (failed []*casualty, err error) {
	var todo []*casualty
	for _, c := range r.paths {
		todo = append(todo, c)
	}
	r.report.Paths += len(todo)
	for len(todo) > 0 {
		if err := r.parallel(ctx, len(todo), func(ctx context.Context, i int) error {
			todo[i].err = r.refetch(ctx, todo[i])
			r.note(func(*Report) {})
			return ctx.Err()
		}); err != nil {
			return nil, err
		}
		var waiting []*casualty
		for _, c := range todo {
			switch {
			case c.err == nil:
				r.report.Changed++
			case c.err == errNowhere:
				failed = append(failed, c)
			default: // maybe since a path that it refers to is not mended yet
				waiting = append(waiting, c)
			}
		}
		if len(waiting) == len(todo) { // what they wait for does not come
			failed = append(failed, waiting...)
			break
		}
		todo = waiting
	}
	return r.needed(ctx, failed)
}

// needed notes those of the paths that could not be had as failures, except
// those that no path refers to any more now that others are mended, and those
// that left a listing only.
func (r *repair) needed(ctx context.Context, failed []*casualty) (needed []*casualty, err error) {
	for _, c := range failed {
		c.users = slices.DeleteFunc(c.users, func(user storepath.Path) bool {
			info, err := r.plain.NarInfo(ctx, user)
			return errors.Is(err, store.ErrNotFound) || err == nil && !slices.Contains(info.References, c.path)
		})
		if c.reference && len(c.users) == 0 {
			r.report.Paths--
			continue
		}
		needed = append(needed, c)
		if c.leftover && c.err == errNowhere {
			r.report.Paths--
			continue
		}
		r.fail(c, c.err)
	}
	return needed, context.Cause(ctx)
}

func (r *repair) parallel(ctx context.Context, n int, f func(context.Context, int) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.workers)
	for i := range n {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(gctx, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// fail notes a path that could not be mended.
func (r *repair) fail(c *casualty, err error) {
	r.note(func(report *Report) {
		report.Failed = append(report.Failed, Problem{Path: c.path, Key: layout.NarInfoKey(c.hashPart), Err: err})
	})
}

func (r *repair) note(f func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.report)
	if r.done++; r.opts.Progress != nil {
		r.opts.Progress(r.done)
	}
}

// wrote notes that an object has changed.
func (r *repair) wrote(keys ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Keys = append(r.report.Keys, keys...)
}

// search finds the paths that orphaned archives belong to.
func (r *repair) search(ctx context.Context) error {
	for _, src := range r.opts.From {
		cache, ok := src.(store.BinaryCacheStore)
		if !ok {
			continue
		}
		for info, err := range cache.NarInfos(ctx) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				continue // it is only a source
			}
			if key, err := layout.ReferenceKey(info.URL); err == nil && r.orphans[key] {
				if has, err := r.plain.Has(ctx, info.Path); err == nil && !has {
					r.casualty(info.Path.HashPart(), info.Path)
				}
			}
		}
	}
	return nil
}

// errNowhere is a path that no source has.
var errNowhere = fmt.Errorf("no source has it: %w", store.ErrNotFound)
