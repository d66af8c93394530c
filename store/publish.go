package store

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// pending is a path whose archive is stored and verified.
type pending struct {
	cache *Cache
	opts  AddOptions
	info  *narinfo.NarInfo
}

func (p *pending) NarInfo() *narinfo.NarInfo { return p.info }

func (p *pending) Publish(ctx context.Context) error {
	if p.opts.Session == nil {
		return p.cache.publishLate(ctx, p)
	}
	return p.publish(ctx, p.opts.Session)
}

// publish makes the path visible, if the session is still valid.
func (p *pending) publish(ctx context.Context, s *Session) error {
	if !p.opts.ReferencesPresent {
		if err := p.cache.checkReferences(ctx, &p.info.PathInfo); err != nil {
			return err
		}
	}
	if err := s.lease.Check(ctx); err != nil {
		return err
	}
	err := p.cache.putNarInfo(ctx, p.info, blob.PutOptions{IfNoneMatch: !p.opts.Repair})
	if err == nil {
		p.cache.settings.Logger.DebugContext(ctx, "published", "bucket", p.cache.String(), "path", p.info.Path.String(),
			"narSize", p.info.NarSize, "fileSize", p.info.FileSize, "compression", string(p.info.Compression))
	}
	if p.opts.Repair || !errors.Is(err, blob.ErrPrecondition) {
		return err
	}
	// Another writer has published the path. Its narinfo is equivalent, and
	// replacing it could remove signatures.
	existing, err := p.cache.NarInfo(ctx, p.info.Path)
	if err != nil {
		return err
	}
	p.info = existing
	return nil
}

// publishLate publishes a path that was prepared without a session, or under one
// that may have ended. It repeats the checks of the preparation.
func (c *Cache) publishLate(ctx context.Context, p *pending) (err error) {
	s, err := c.BeginStored(ctx, p.info)
	if err != nil {
		return err
	}
	defer func() { s.End(ctx, err) }()
	if s.lease.Leased() {
		p.opts.ReferencesPresent = false
		if _, err := c.bucket.Head(ctx, p.info.URL); err != nil {
			return err
		}
	}
	return p.publish(ctx, s)
}

// published is a path that another goroutine has published.
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
			has, err := c.hasNow(gctx, ref)
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
		return &MissingReferenceError{StoreDir: c.settings.StoreDir, Path: info.Path, References: refs}
	}
	return nil
}

// putNarInfo makes a narinfo visible. No other function does.
func (c *Cache) putNarInfo(ctx context.Context, info *narinfo.NarInfo, opts blob.PutOptions) error {
	text, err := info.MarshalText()
	if err != nil {
		return err
	}
	if err := checkReadable(info, text); err != nil {
		return err
	}
	opts.ContentType = layout.NarInfo.ContentType()
	c.infos.forget(info.Path.HashPart())
	c.presence.wrote.Store(true)
	_, err = c.putSmall(ctx, layout.NarInfoKey(info.Path.HashPart()), text, c.settings.NarInfoCompression, opts)
	return err
}

// checkReadable refuses a narinfo that readers would refuse, because no writer
// could replace it.
func checkReadable(info *narinfo.NarInfo, text []byte) error {
	if int64(len(text)) > layout.NarInfo.Limit() {
		return fmt.Errorf("narinfo of %s: expected at most %d bytes, got %d", info.Path, layout.NarInfo.Limit(), len(text))
	}
	if _, err := narinfo.Parse(text); err != nil {
		return fmt.Errorf("narinfo of %s could not be read again: %w", info.Path, err)
	}
	return nil
}
