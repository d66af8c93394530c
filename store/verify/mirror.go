package verify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/internal/naming"
	"example.com/nixs3/store/layout"
)

// MirrorOptions say what Mirror copies.
type MirrorOptions struct {
	// Roots restricts the mirror to the closures of these paths, and to the
	// logs, realisations and debug files that belong to them. Empty means
	// everything, which needs a source that can be listed.
	Roots []storepath.Path

	// TrustedKeys, when there are any, must have signed every path that is
	// copied, as in store.CopyOptions.
	TrustedKeys narinfo.TrustedKeys

	// Signers also sign every path that is copied.
	Signers []narinfo.Signer

	// HideRemoved makes invisible at dst what src does not have any more, when
	// everything is mirrored, with all that refers to it. gc.Undo brings it
	// back, see [gc.Hide].
	HideRemoved bool

	// BytesPerSecond bounds what is read of the source's objects. 0 means no
	// limit.
	BytesPerSecond int64

	// DryRun copies nothing: the report has what would be done.
	DryRun bool

	// Progress is called while paths are copied, as by store.Copy.
	Progress func(store.Progress)
}

// Mirror copies to dst what src has and dst lacks: paths with their archives,
// listings, links to debug files, logs and realisations. Archives are verified
// as by [store.Copy], and listings and links are made from the verified
// contents. Nothing at dst is replaced, but paths get the signatures that they
// were given at src since. What src does not have any more is in Report.Removed,
// when everything is mirrored, and stays unless HideRemoved. A path that dst
// describes in another way than src is in Report.Skipped.
//
// When everything is mirrored, the listings decide whose signatures are compared:
// those of paths whose narinfos differ, by the MD5 of their ETags where there is
// one, and of which the one of src is larger or not the older one.
//
// Whenever Mirror fails, dst is a cache of whole closures, and running it again
// goes on where it was. A run with nothing to do lists both caches and reads
// little else.
func Mirror(ctx context.Context, dst, src *store.Cache, opts MirrorOptions) (*Report, error) {
	start := time.Now()
	m := &mirror{opts: opts, report: &Report{}, copied: map[storepath.Path]bool{}}
	err := m.run(ctx, dst, src)
	m.report.Elapsed = time.Since(start)
	slices.Sort(m.report.Keys)
	m.report.Keys = slices.Compact(m.report.Keys)
	if err == nil {
		err = m.report.failure("mirrored")
	}
	return m.report, err
}

type mirror struct {
	opts     MirrorOptions
	src, dst *store.Cache
	from, to *survey // nil where roots are mirrored
	copied   map[storepath.Path]bool

	mu     sync.Mutex
	report *Report
}

func (m *mirror) run(ctx context.Context, dst, src *store.Cache) (err error) {
	if src.StoreDir() != dst.StoreDir() {
		return fmt.Errorf("%w: %s is of %s, %s of %s", store.ErrStoreDir, src, src.StoreDir(), dst, dst.StoreDir())
	}
	if m.src, err = limited(src, m.opts.BytesPerSecond); err != nil {
		return err
	}
	if len(m.opts.Roots) > 0 {
		return m.closures(ctx, dst)
	}
	return m.everything(ctx, dst)
}

// withSides returns the cache with the settings that make what belongs to a
// path.
func withSides(c *store.Cache, beside sides) (*store.Cache, error) {
	settings := c.Settings()
	settings.WriteListing = settings.WriteListing || beside.listing
	settings.IndexDebugInfo = settings.IndexDebugInfo || beside.links
	return store.New(c.Bucket(), settings)
}

// everything mirrors what the listing of the source has.
func (m *mirror) everything(ctx context.Context, dst *store.Cache) (err error) {
	if m.from, err = takeSurvey(ctx, m.src.Bucket(), Contents); err != nil {
		return naming.Error("listing "+m.src.String(), m.src.String(), err)
	}
	if len(m.from.paths) == 0 {
		return fmt.Errorf("%s has no paths: nothing is mirrored, and nothing counts as removed", m.src)
	}
	if m.to, err = takeSurvey(ctx, dst.Bucket(), Contents); err != nil && !errors.Is(err, blob.ErrNoSuchBucket) {
		return naming.Error("listing "+dst.String(), dst.String(), err)
	}
	if m.to == nil {
		m.to = &survey{}
	}
	beside := sides{listing: m.from.hasListings(), links: len(m.from.debugInfo) > 0}
	if m.dst, err = withSides(dst, beside); err != nil {
		return err
	}
	var missing, unlisted, resigned []string
	for i := range m.from.paths {
		p := &m.from.paths[i]
		switch at := m.to.path(p.hashPart); {
		case at < 0:
			missing = append(missing, p.hashPart)
		default:
			if p.listing >= 0 && m.to.paths[at].listing < 0 {
				unlisted = append(unlisted, p.hashPart)
			}
			if p.mayHaveSignatures(&m.to.paths[at]) {
				resigned = append(resigned, p.hashPart)
			}
		}
	}
	m.report.Paths = len(m.from.paths)
	m.report.Unchanged = len(m.from.paths) - len(missing)
	if err := m.copyMissing(ctx, missing); err != nil {
		return err
	}
	if err := m.list(ctx, unlisted); err != nil {
		return err
	}
	if err := m.addSignatures(ctx, m.read(ctx, resigned)); err != nil {
		return err
	}
	for _, f := range []struct {
		from, to []blob.Attrs
		copy     func(context.Context, string) error
	}{
		{m.from.realisations, m.to.realisations, m.realisation},
		{m.from.logs, m.to.logs, m.log},
		{m.from.debugInfo, m.to.debugInfo, m.debugLink},
	} {
		if err := m.objects(ctx, absent(f.from, f.to), f.copy); err != nil {
			return err
		}
	}
	return m.removed(ctx)
}

// absent returns the keys of the first listing that the second lacks. Both are
// in the order of their keys.
func absent(from, to []blob.Attrs) []string {
	var keys []string
	for _, a := range from {
		if _, ok := slices.BinarySearchFunc(to, a.Key, func(b blob.Attrs, key string) int { return compareKeys(b.Key, key) }); !ok {
			keys = append(keys, a.Key)
		}
	}
	return keys
}

// copyMissing copies paths of which the hash parts are known.
func (m *mirror) copyMissing(ctx context.Context, hashParts []string) error {
	if len(hashParts) == 0 {
		return nil
	}
	if m.report.Unchanged == 0 {
		return m.copy(ctx, nil, store.CopyOptions{All: true})
	}
	var roots []storepath.Path
	for info, err := range m.read(ctx, hashParts) {
		if err != nil {
			return err
		}
		roots = append(roots, info.Path)
	}
	// The closure, since dst may have lost what it does not list.
	return m.copy(ctx, roots, store.CopyOptions{})
}

// read yields the narinfos of src, and notes those that cannot be read.
func (m *mirror) read(ctx context.Context, hashParts []string) iter.Seq2[*narinfo.PathInfo, error] {
	infos := flow.Map(ctx, m.src.Settings().Budget.Requests, flow.Values(hashParts), func(ctx context.Context, hashPart string) (*narinfo.NarInfo, error) {
		info, err := m.src.NarInfoByHash(ctx, hashPart)
		if err != nil && !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
			m.fail(Problem{Key: layout.NarInfoKey(hashPart), Err: err})
		}
		return info, nil
	})
	return func(yield func(*narinfo.PathInfo, error) bool) {
		for info, err := range infos {
			switch {
			case err != nil:
				yield(nil, err)
				return
			case info != nil && !yield(&info.PathInfo, nil):
				return
			}
		}
	}
}

func (m *mirror) copy(ctx context.Context, roots []storepath.Path, opts store.CopyOptions) error {
	opts.KeepGoing = true
	opts.DryRun = m.opts.DryRun
	opts.TrustedKeys = m.opts.TrustedKeys
	opts.Signers = m.opts.Signers
	opts.Progress = m.opts.Progress
	report, err := store.Copy(ctx, m.dst, m.src, roots, opts)
	m.report.Changed += report.Copied
	if m.opts.DryRun {
		m.report.Changed += len(report.Todo)
	}
	m.report.Bytes += report.FileBytes
	for _, todo := range report.Todo {
		m.copied[todo.Path] = true
		if !m.opts.DryRun {
			m.wrote(layout.NarInfoKey(todo.Path.HashPart()))
		}
	}
	for _, f := range report.Failed {
		m.fail(Problem{Path: f.Path, Err: f.Err})
	}
	if err != nil && (len(report.Failed) == 0 || ctx.Err() != nil) {
		return err
	}
	return nil
}

// list makes the listings of paths that dst has without them, from its own
// archives.
func (m *mirror) list(ctx context.Context, hashParts []string) error {
	if len(hashParts) == 0 {
		return nil
	}
	r, err := newRepair(m.dst, RepairOptions{DryRun: m.opts.DryRun})
	if err != nil {
		return err
	}
	for _, hashPart := range hashParts {
		r.rebuild[hashPart] = sides{listing: true}
	}
	err = r.rebuildAll(ctx)
	m.report.Failed = append(m.report.Failed, r.report.Failed...)
	m.wrote(r.report.Keys...)
	return err
}

// objects copies objects that belong to no path, and notes those that cannot
// be.
func (m *mirror) objects(ctx context.Context, keys []string, copy func(context.Context, string) error) error {
	done := flow.Map(ctx, m.dst.Settings().Budget.Transfers, flow.Values(keys), func(ctx context.Context, key string) (string, error) {
		err := copy(ctx, key)
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case errors.Is(err, store.ErrNotFound): // it went since it was listed
		case err != nil:
			m.fail(Problem{Key: key, Err: err})
		case !m.opts.DryRun:
			m.wrote(key)
		}
		return key, nil
	})
	for _, err := range done {
		if err != nil {
			return err
		}
	}
	return nil
}

// removed notes the paths that dst has and src has not.
func (m *mirror) removed(ctx context.Context) error {
	var gone []string
	for i := range m.to.paths {
		if hashPart := m.to.paths[i].hashPart; m.from.path(hashPart) < 0 {
			gone = append(gone, hashPart)
		}
	}
	infos := flow.Map(ctx, m.dst.Settings().Budget.Requests, flow.Values(gone), func(ctx context.Context, hashPart string) (*narinfo.NarInfo, error) {
		info, err := m.dst.NarInfoByHash(ctx, hashPart)
		if err != nil {
			m.fail(Problem{Key: layout.NarInfoKey(hashPart), Err: err})
		}
		return info, nil
	})
	for info, err := range infos {
		if err != nil {
			return err
		}
		if info != nil {
			m.report.Removed = append(m.report.Removed, info.Path)
		}
	}
	slices.SortFunc(m.report.Removed, storepath.Path.Compare)
	if !m.opts.HideRemoved || m.opts.DryRun {
		return nil
	}
	return m.report.hide(ctx, m.dst, m.report.Removed)
}

func (m *mirror) fail(p Problem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Failed = append(m.report.Failed, p)
}

func (m *mirror) wrote(keys ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Keys = append(m.report.Keys, keys...)
}
