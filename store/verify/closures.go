package verify

import (
	"context"
	"slices"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/layout"
)

// closures checks the closures of the roots. All their narinfos are read first,
// so that the cost is known before any archive is read.
func (c *checker) closures(ctx context.Context) error {
	objects, err := c.walk(ctx)
	if err != nil || c.stopped {
		return err
	}
	if c.opts.Depth >= Contents {
		paths := make([]storepath.Path, 0, len(objects))
		for p := range objects {
			paths = append(paths, p)
		}
		c.mentions = storepath.NewCandidates(paths)
	}
	if err := c.planClosures(objects); err != nil {
		return err
	}
	if err := c.cacheInfo(ctx, true); err != nil || c.stopped {
		return err
	}
	todo := func(yield func(target) bool) {
		for p, o := range objects {
			if !yield(target{hashPart: p.HashPart(), object: o}) {
				return
			}
		}
	}
	results := each(ctx, c.workers(), todo, func(ctx context.Context, t target) result {
		return c.path(ctx, t)
	})
	for r := range results {
		if err := c.settle(r); err != nil || c.stopped {
			return err
		}
	}
	return context.Cause(ctx)
}

// walk reads the narinfos of the closures, level by level, and yields those
// that are missing.
func (c *checker) walk(ctx context.Context) (map[storepath.Path]*object, error) {
	type found struct {
		path storepath.Path
		object
	}
	objects := map[storepath.Path]*object{}
	referrer := map[storepath.Path]storepath.Path{}
	level := slices.Clone(c.opts.Roots)
	for len(level) > 0 {
		var next []storepath.Path
		slices.SortFunc(level, storepath.Path.Compare)
		level = slices.Compact(level)
		for f := range each(ctx, c.settings.Budget.Requests, slices.Values(level), func(ctx context.Context, p storepath.Path) found {
			return found{p, c.small(ctx, layout.NarInfoKey(p.HashPart()))}
		}) {
			var info *narinfo.NarInfo
			if f.data != nil {
				info, _ = narinfo.Parse(f.data) // the error is found again
			}
			by, referred := referrer[f.path]
			if f.missing || info != nil && info.Path != f.path && info.Path.HashPart() == f.path.HashPart() {
				if !referred {
					c.found(Finding{Kind: NarInfoMissing, Key: layout.NarInfoKey(f.path.HashPart()), Path: f.path})
				} else if c.opts.Depth >= Metadata {
					c.missingReference(by.HashPart(), by, f.path, storepath.Path{})
				}
				objects[f.path] = nil
				continue
			}
			objects[f.path] = &f.object
			if info == nil || c.stopped {
				continue
			}
			for _, ref := range info.References {
				if _, known := objects[ref]; !known {
					referrer[ref] = info.Path
					next = append(next, ref)
				}
			}
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		level = slices.DeleteFunc(next, func(p storepath.Path) bool { _, known := objects[p]; return known })
	}
	for p, o := range objects {
		if o == nil {
			delete(objects, p)
		}
	}
	return objects, nil
}

func (c *checker) planClosures(objects map[storepath.Path]*object) error {
	p := Plan{Paths: len(objects)}
	for _, o := range objects {
		p.Requests++ // the archive
		info, err := narinfo.Parse(o.data)
		if err != nil || c.opts.Depth < Files {
			continue
		}
		p.Requests++
		p.Bytes += info.FileSize
		if c.opts.Depth >= Contents {
			p.Requests++ // the listing, of a size that is not known
		}
	}
	if c.opts.Depth >= Metadata {
		p.Requests++
	}
	c.progress.Total = p.Paths
	if c.opts.Plan == nil {
		return nil
	}
	return c.opts.Plan(p)
}
