package locate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/fileindex"
	"example.com/nixs3/store/layout"
)

// Options are the options of Update. The zero value indexes the paths that have a
// listing, in the cache.
type Options struct {
	// Archives also indexes paths without a readable listing. Update then
	// fetches and verifies their archives.
	Archives bool

	// File keeps the index in a local file instead of in the cache.
	File string

	// Progress, if set, is called after every thousand paths, from one
	// goroutine at a time.
	Progress func(paths int)
}

// Report describes what an Update did.
type Report struct {
	Paths    int // in the index now
	Added    int
	Dropped  int // that are no longer in the cache
	Unlisted int // left out, since they have no listing
	Failed   []error
	Bytes    int64 // of the index; 0 where it was up to date and not written
	Elapsed  time.Duration
}

// Update makes the index of the files of a cache, or renews it. It lists the
// cache, and reads the narinfos and listings of paths that the index lacks; the
// others cost no request. Paths whose listing cannot be read are in
// Report.Failed, and the next Update tries them again. An index that is damaged
// is made anew.
//
// The index is replaced as a whole, so that a reader sees the old one or the new
// one. Of two concurrent Updates the later one wins.
func Update(ctx context.Context, cache *store.Cache, opts Options) (*Report, error) {
	start := time.Now()
	at := newPlace(cache, opts.File)
	report, err := update(ctx, cache, at, opts, false)
	if errors.Is(err, fileindex.ErrFormat) {
		cache.Settings().Logger.WarnContext(ctx, "the index of files is made anew", "index", at.String(), "reason", err)
		report, err = update(ctx, cache, at, opts, true)
	}
	report.Elapsed = time.Since(start)
	return report, err
}

// update is Update once. With anew, it ignores the index that there is.
func update(ctx context.Context, cache *store.Cache, at place, opts Options, anew bool) (*Report, error) {
	u := &updater{cache: cache, opts: opts, report: &Report{}, budget: newBudget()}
	if !anew {
		old, err := openIndex(ctx, cache, at)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return u.report, err
		}
		if err == nil {
			defer old.Close()
			u.old = old.reader
		}
	}
	if err := u.advance(); err != nil {
		return u.report, err
	}
	into, err := at.create(ctx)
	if err != nil {
		return u.report, err
	}
	defer into.Close()
	counted := &counter{w: into}
	w, err := fileindex.NewWriter(counted, cache.StoreDir())
	if err != nil {
		return u.report, err
	}
	if err := u.run(ctx, w); err != nil {
		w.Abort()
		return u.report, err
	}
	if err := w.Close(); err != nil {
		return u.report, err
	}
	if u.old != nil && u.report.Added == 0 && u.report.Dropped == 0 {
		return u.report, nil
	}
	u.report.Bytes = counted.n
	return u.report, into.commit()
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// updater merges the old index with the listing of the cache.
type updater struct {
	cache  *store.Cache
	opts   Options
	report *Report
	budget *budget

	old  *fileindex.Reader // nil without one, and stays at its end
	head fileindex.Record  // the next record of old; zero at its end
}

// window is the number of records that may wait for one before them.
const window = 64

// pending is a record that is, or will be, ready.
type pending chan result

// result is a record, or why there is none. err nil with a zero record is a path
// that has gone.
type result struct {
	record fileindex.Record
	kept   bool
	err    error
}

// run writes all records in their order while it reads new ones in parallel.
func (u *updater) run(ctx context.Context, w *fileindex.Writer) error {
	g, gctx := errgroup.WithContext(ctx)
	records := make(chan pending, window)
	g.Go(func() error {
		defer close(records)
		reads, rctx := errgroup.WithContext(gctx)
		err := u.merge(rctx, reads, records)
		return errors.Join(reads.Wait(), err)
	})
	g.Go(func() error { return u.write(gctx, w, records) })
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx) // else reads that it ended would count as failed
}

func (u *updater) write(ctx context.Context, w *fileindex.Writer, records <-chan pending) error {
	done := 0
	for p := range records {
		var r result
		select {
		case r = <-p:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if done++; done%1000 == 0 && u.opts.Progress != nil {
			u.opts.Progress(done)
		}
		switch {
		case r.err != nil:
			u.report.Failed = append(u.report.Failed, r.err)
			continue
		case r.record.Path.IsZero():
			continue
		case !r.kept:
			u.report.Added++
		}
		u.report.Paths++
		if err := w.Add(r.record); err != nil {
			return err
		}
	}
	return nil
}

// merge sends a record for each path of the cache in the order of the hash parts.
func (u *updater) merge(ctx context.Context, reads *errgroup.Group, records chan<- pending) error {
	listing := blob.Attrs{} // the last one; that of a path precedes its narinfo
	for attrs, err := range u.cache.Bucket().List(ctx, blob.ListOptions{Shallow: true}) {
		if err != nil {
			return err
		}
		if _, ok := layout.ParseListingKey(attrs.Key); ok {
			listing = attrs
			continue
		}
		hashPart, ok := layout.ParseNarInfoKey(attrs.Key)
		if !ok {
			continue
		}
		size := int64(-1)
		if listing.Key == layout.ListingKey(hashPart) {
			size = listing.Size
		}
		p, err := u.path(ctx, reads, hashPart, size)
		if err != nil {
			return err
		}
		if p == nil {
			continue
		}
		select {
		case records <- p:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return u.drop("")
}

// path returns the record of a path: that of the old index, or one that is being
// read. size is that of the path's listing, -1 without one. It returns nil for a
// path that is left out.
func (u *updater) path(ctx context.Context, reads *errgroup.Group, hashPart string, size int64) (pending, error) {
	if err := u.drop(hashPart); err != nil {
		return nil, err
	}
	p := make(pending, 1)
	switch {
	case u.head.Path.HashPart() == hashPart:
		p <- result{record: u.head.Clone(), kept: true}
		return p, u.advance()
	case size < 0 && !u.opts.Archives:
		u.report.Unlisted++
		return nil, nil
	}
	leave, err := u.budget.enter(ctx, size)
	if err != nil {
		return nil, err
	}
	reads.Go(func() error {
		defer leave()
		r, err := u.read(ctx, hashPart, size >= 0)
		p <- result{record: r, err: err}
		return nil
	})
	return p, nil
}

// drop passes over the old records before a hash part, or all of them if it is "".
func (u *updater) drop(hashPart string) error {
	for !u.head.Path.IsZero() && (hashPart == "" || u.head.Path.HashPart() < hashPart) {
		u.report.Dropped++
		if err := u.advance(); err != nil {
			return err
		}
	}
	return nil
}

// advance reads the next record of the old index.
func (u *updater) advance() (err error) {
	if u.old == nil {
		return nil
	}
	u.head, err = u.old.Next()
	if errors.Is(err, io.EOF) {
		u.head = fileindex.Record{}
		return nil
	}
	if err == nil {
		err = checkEntries(&u.head)
	}
	return err
}

// checkEntries keeps a malformed record from being carried from index to index.
func checkEntries(r *fileindex.Record) error {
	for _, err := range r.Entries() {
		if err != nil {
			return err
		}
	}
	return nil
}

// read makes the record of a path that the index lacks.
func (u *updater) read(ctx context.Context, hashPart string, listed bool) (fileindex.Record, error) {
	info, err := u.cache.NarInfoByHash(ctx, hashPart)
	if errors.Is(err, store.ErrNotFound) {
		return fileindex.Record{}, nil // deleted since it was listed
	}
	if err != nil {
		return fileindex.Record{}, err
	}
	l, err := u.listing(ctx, info.Path, listed)
	if err != nil {
		return fileindex.Record{}, fmt.Errorf("listing of %s: %w", info.Path, err)
	}
	return fileindex.NewRecord(info.Path, l)
}
