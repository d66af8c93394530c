package verify

import (
	"context"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/internal/graph"
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
		c.mentions = storepath.NewScanner(paths)
	}
	if err := c.planClosures(objects); err != nil {
		return err
	}
	if err := c.cacheInfo(ctx, true); err != nil || c.stopped {
		return err
	}
	var todo []target
	for p, o := range objects {
		todo = append(todo, target{hashPart: p.HashPart(), object: o})
	}
	return c.settleAll(flow.Map(ctx, c.workers(), flow.Values(todo), func(ctx context.Context, t target) (result, error) {
		return c.path(ctx, t), context.Cause(ctx)
	}))
}

// member is a path of a closure.
type member struct {
	object
	path, user storepath.Path
	info       *narinfo.PathInfo // nil where it cannot be read
}

// Info implements graph.Node.
func (m *member) Info() *narinfo.PathInfo { return m.info }

// walk reads the narinfos of the closures, and yields those that are missing.
func (c *checker) walk(ctx context.Context) (map[storepath.Path]*object, error) {
	objects := map[storepath.Path]*object{}
	lookup := func(ctx context.Context, p, user storepath.Path) (*member, error) {
		m := &member{c.small(ctx, layout.NarInfoKey(p.HashPart())), p, user, nil}
		if info, err := narinfo.Parse(m.data); err == nil {
			m.info = &info.PathInfo
			// The narinfo of another name is not that of the path.
			m.missing = info.Path != p && info.Path.HashPart() == p.HashPart()
		}
		return m, context.Cause(ctx)
	}
	for m, err := range graph.Walk(ctx, c.opts.Roots, c.settings.Budget.Requests, graph.Limits{}, lookup) {
		switch {
		case err != nil:
			return nil, err
		case !m.missing:
			objects[m.path] = &m.object
		case m.user.IsZero():
			c.found(Finding{Kind: NarInfoMissing, Key: layout.NarInfoKey(m.path.HashPart()), Path: m.path})
		case c.opts.Depth >= Metadata:
			c.missingReference(m.user.HashPart(), m.user, m.path, storepath.Path{})
		}
		if c.stopped {
			return nil, nil
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
