package store

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
)

// pending is a path whose archive is stored and verified.
type pending struct {
	cache  *Cache
	opts   AddOptions
	info   *narinfo.NarInfo
	stored *stored // keeps it known
}

func (p *pending) NarInfo() *narinfo.NarInfo { return p.info }

func (p *pending) Publish(ctx context.Context) error {
	if !p.opts.ReferencesPresent {
		if err := p.cache.checkReferences(ctx, &p.info.PathInfo); err != nil {
			return err
		}
	}
	err := p.cache.putNarInfo(ctx, p.info, blob.PutOptions{IfNoneMatch: !p.opts.Repair})
	if err == nil {
		p.cache.settings.Logger.DebugContext(ctx, "published", "bucket", p.cache.String(), "path", p.info.Path.String(),
			"narSize", p.info.NarSize, "fileSize", p.info.FileSize, "compression", string(p.info.Compression))
	}
	if p.opts.Repair || !errors.Is(err, blob.ErrPrecondition) {
		return err
	}
	// Somebody else published the path in the meantime. Theirs is as good as
	// ours, and replacing it could take signatures away.
	existing, err := p.cache.NarInfo(ctx, p.info.Path)
	if err != nil {
		return err
	}
	p.info = existing
	return nil
}

// published is a path that somebody else has published.
type published struct{ info *narinfo.NarInfo }

func (p published) NarInfo() *narinfo.NarInfo     { return p.info }
func (p published) Publish(context.Context) error { return nil }

// checkReferences fails with a MissingReferenceError unless the cache has all
// references of a path.
func (c *Cache) checkReferences(ctx context.Context, info *narinfo.PathInfo) error {
	missing := make([]bool, len(info.References))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.settings.Budget.Requests)
	for i, ref := range info.References {
		if ref == info.Path {
			continue
		}
		g.Go(func() error {
			has, err := c.Has(gctx, ref)
			missing[i] = !has
			if isAbsent(err) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var refs []storepath.Path
	for i, ref := range info.References {
		if missing[i] {
			refs = append(refs, ref)
		}
	}
	if len(refs) > 0 {
		return &MissingReferenceError{Path: info.Path, References: refs}
	}
	return nil
}
