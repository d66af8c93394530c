package verify

import (
	"context"
	"iter"
	"strconv"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/layout"
)

// Check compares what a cache holds with what it claims, and yields what is
// wrong, in no particular order. An *UncheckedError is an object of which
// nothing is known; the check goes on after it. Every other error, such as that
// of a listing, ends it. A cache is sound when nothing is yielded.
//
// Writers and collectors may work on the cache meanwhile. A path that comes or
// goes during the check can show up as a finding; a second check tells.
//
// The cache's own trusted keys and its memory of narinfos are not used: Check
// reads every object from the bucket. Of the cache's settings, WriteListing and
// IndexDebugInfo tell that every path is meant to have a listing, and every
// debug file a link; without them, that is taken from what most paths have.
func Check(ctx context.Context, cache *store.Cache, opts Options) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		c, err := newChecker(ctx, cache, opts)
		if err != nil {
			yield(Finding{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		c.yield = func(f Finding, err error) bool {
			c.stopped = c.stopped || !yield(f, err)
			return !c.stopped
		}
		if err := c.run(ctx); err != nil && !c.stopped {
			yield(Finding{}, err)
		}
	}
}

// checker is one run of Check. Results of workers are taken in by the goroutine
// that runs it, which alone changes it.
type checker struct {
	cache    *store.Cache // without trusted keys
	bucket   blob.Bucket
	opts     Options
	settings store.Settings
	keys     uint64 // hash of the trusted keys
	known    map[string]record
	survey   *survey            // nil where Roots are checked
	mentions *storepath.Scanner // what contents may refer to; nil where that is not looked for

	checksums checksums

	yield    func(Finding, error) bool
	stopped  bool // the consumer has left
	progress Progress

	disputes []dispute
	debug    map[string]map[debugFile]storepath.Path // by build ID: the files with it, and whose they are
}

// debugFile is where a debug file is.
type debugFile struct{ archive, member string }

func newChecker(ctx context.Context, cache *store.Cache, opts Options) (*checker, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	known, err := readJournal(ctx, opts.Resume)
	if err != nil {
		return nil, err
	}
	settings := cache.Settings()
	unguarded := settings
	unguarded.TrustedKeys, unguarded.PathInfoCacheSize = nil, 0
	reader, err := store.New(cache.Bucket(), unguarded)
	if err != nil {
		return nil, err
	}
	return &checker{
		cache:    reader,
		bucket:   cache.Bucket(),
		opts:     opts,
		settings: settings,
		keys:     hash(opts.TrustedKeys.String(), 0),
		known:    known,
		debug:    map[string]map[debugFile]storepath.Path{},
	}, nil
}

func (c *checker) run(ctx context.Context) error {
	if len(c.opts.Roots) > 0 {
		return c.closures(ctx)
	}
	return c.whole(ctx)
}

// whole checks the cache as its listing has it.
func (c *checker) whole(ctx context.Context) error {
	var err error
	if c.survey, err = takeSurvey(ctx, c.bucket, c.opts.Depth); err != nil {
		return err
	}
	c.settings.WriteListing = c.settings.WriteListing || c.survey.hasListings()
	c.settings.IndexDebugInfo = c.settings.IndexDebugInfo || len(c.survey.debugInfo) > 0
	if err := c.findMentions(); err != nil {
		return err
	}
	todo, err := c.plan()
	if err != nil {
		return err
	}
	if err := c.cacheInfo(ctx, c.survey.described); err != nil || c.stopped {
		return err
	}
	if err := c.settleAll(flow.Map(ctx, c.workers(), todo, c.listedPath)); err != nil || c.stopped {
		return err
	}
	return c.rest(ctx)
}

// settleAll takes in what workers find out. It fails where the sequence does.
func (c *checker) settleAll(results iter.Seq2[result, error]) error {
	for r, err := range results {
		if err == nil {
			err = c.settle(r)
		}
		if err != nil || c.stopped {
			return err
		}
	}
	return nil
}

// workers is how many paths are checked at a time: as many as the budget has
// requests, fewer where whole archives pass through memory.
func (c *checker) workers() int {
	if c.opts.Depth < Files {
		return c.settings.Budget.Requests
	}
	return c.settings.Budget.Transfers
}

// result is what a worker found out about an object.
type result struct {
	record
	index   int              // of the path in the survey, -1 where it has none
	info    *narinfo.NarInfo // nil where it could not be read, or was resumed
	resumed bool
	bytes   int64
	scanner *storepath.Scanner // of the contents
	err     error              // an *UncheckedError, or nil
}

func (r *result) find(kind Kind, key, detail string) {
	r.Findings = append(r.Findings, Finding{Kind: kind, Key: key, Path: r.Path, Detail: detail})
}

// settle takes in what a worker found out.
func (c *checker) settle(r result) error {
	c.progress.Checked++
	c.progress.Bytes += r.bytes
	for _, f := range r.Findings {
		if !c.found(f) {
			return nil
		}
	}
	for id, member := range r.DebugInfo {
		key, err := layout.ReferenceKey(r.URL)
		if err != nil {
			continue
		}
		if c.debug[id] == nil {
			c.debug[id] = map[debugFile]storepath.Path{}
		}
		c.debug[id][debugFile{key, member}] = r.Path
	}
	if c.survey != nil && r.index >= 0 {
		c.connect(r)
	}
	if c.opts.Progress != nil {
		c.opts.Progress(c.progress)
	}
	if r.err != nil {
		c.yield(Finding{}, r.err)
		return nil
	}
	if r.resumed || c.stopped {
		return nil
	}
	return writeRecord(c.opts.Journal, r.record)
}

// found yields a finding, and reports whether the consumer wants more.
func (c *checker) found(f Finding) bool {
	c.progress.Findings++
	return c.yield(f, nil)
}

// listedPath checks a path of the survey, unless the journal has it.
func (c *checker) listedPath(ctx context.Context, index int) (result, error) {
	listed := &c.survey.paths[index]
	if rec, ok := c.resume(listed); ok {
		return result{record: rec, index: index, resumed: true}, nil
	}
	r := c.path(ctx, target{hashPart: listed.hashPart, listing: listed.listing})
	r.index = index
	r.State = c.state(listed, r.record)
	return r, context.Cause(ctx)
}

// resume returns what the journal says of a path, where that still holds.
func (c *checker) resume(listed *listedPath) (record, bool) {
	rec, ok := c.known[layout.NarInfoKey(listed.hashPart)]
	return rec, ok && rec.Depth >= c.opts.Depth && rec.State == c.state(listed, rec)
}

// state returns a text that changes when one of the objects of a path does, or
// the keys that it is checked against.
func (c *checker) state(listed *listedPath, rec record) string {
	state := listed.state ^ c.keys
	if rec.Index != "" {
		state ^= c.survey.indexes[rec.Index]
	}
	if key, err := layout.ReferenceKey(rec.URL); err == nil {
		if archive := c.survey.archive(key); archive != nil {
			state ^= archive.state
		}
	}
	return strconv.FormatUint(state, 16)
}

// findMentions gathers what contents may refer to: the paths of the cache, as
// far as that fits in little memory.
func (c *checker) findMentions() error {
	if c.opts.Depth < Contents || len(c.survey.paths) > maxMentions {
		return nil
	}
	paths := make([]storepath.Path, len(c.survey.paths))
	for i := range paths {
		p, err := storepath.ParseBase(c.survey.paths[i].hashPart + "-x")
		if err != nil {
			return err
		}
		paths[i] = p
	}
	c.mentions = storepath.NewScanner(paths)
	return nil
}

// maxMentions bounds the paths of which mentions are looked for. A larger cache
// is not searched for undeclared references.
const maxMentions = 200_000

// indexes yields the selected paths of the survey.
func (c *checker) indexes() iter.Seq2[int, error] {
	since := unix(c.opts.Since)
	return func(yield func(int, error) bool) {
		for i := range c.survey.paths {
			p := &c.survey.paths[i]
			if !c.opts.selects(p.hashPart) {
				continue
			}
			if !c.opts.Since.IsZero() && p.modified < since {
				continue
			}
			if !yield(i, nil) {
				return
			}
		}
	}
}

// plan tells what the check costs, and returns the paths that are checked.
func (c *checker) plan() (iter.Seq2[int, error], error) {
	s := c.survey
	p := Plan{Lists: s.lists}
	for i := range c.indexes() {
		listed := &s.paths[i]
		p.Paths++
		if _, ok := c.resume(listed); ok {
			p.Resumed++
			continue
		}
		p.Requests++
		p.Bytes += listed.narInfo
		if c.opts.Depth == Metadata {
			p.Requests++ // a HEAD of the archive, where the server keeps checksums
		}
		if c.opts.Depth >= Contents && listed.listing >= 0 {
			p.Requests++
			p.Bytes += listed.listing
		}
	}
	if c.opts.Depth >= Files && len(s.paths) > 0 {
		// Which archives are those of the selected paths is not known yet.
		reads := int64(p.Paths - p.Resumed)
		if c.opts.whole() {
			reads += int64(max(0, len(s.archives)-len(s.paths)))
		}
		var bytes int64
		for i := range s.archives {
			bytes += s.archives[i].size
		}
		p.Requests += reads
		p.Bytes += int64(float64(reads) * float64(bytes) / float64(max(1, len(s.archives))))
	}
	for _, attrs := range [][]blob.Attrs{s.logs, s.debugInfo, s.realisations} {
		for _, a := range c.selected(attrs) {
			if _, ok := c.resumeObject(a); !ok {
				p.Requests++
				p.Bytes += a.Size
			}
		}
	}
	if c.opts.Depth >= Metadata {
		p.Requests++ // nix-cache-info
	}
	c.progress.Total = p.Paths
	if c.opts.Plan != nil {
		if err := c.opts.Plan(p); err != nil {
			return nil, err
		}
	}
	return c.indexes(), nil
}
