package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// lookups is how many paths of the source are asked for at a time. The
// source's own budget may allow less.
const lookups = 128

// node is a path in the graph of what is to be copied.
type node struct {
	info *narinfo.PathInfo
	file *narinfo.NarInfo // nil where the source has no compressed archives
	err  error            // why the source cannot give the path

	// What follows belongs to the transfer.
	waiting int     // references that are not published yet
	users   []*node // paths that wait for this one
	pending Pending
	done    bool // published or failed
}

// fileSize is the size of what is read from the source, as far as known.
func (n *node) fileSize() int64 {
	if n.file != nil && n.file.FileSize > 0 {
		return n.file.FileSize
	}
	return n.info.NarSize
}

type graph map[storepath.Path]*node

// lookup asks the source for a path.
func (c *copier) lookup(ctx context.Context, p storepath.Path) (*node, error) {
	if cache, ok := c.src.(BinaryCacheStore); ok {
		file, err := cache.NarInfo(ctx, p)
		if err != nil {
			return nil, err
		}
		return &node{info: &file.PathInfo, file: file}, nil
	}
	info, err := c.src.PathInfo(ctx, p)
	if err != nil {
		return nil, err
	}
	if info.Path != p {
		return nil, fmt.Errorf("%s answered with %s: %w", c.src, info.Path, ErrMismatch)
	}
	if info.NarHash.IsZero() || info.NarSize <= 0 {
		return nil, fmt.Errorf("%s does not tell NarHash and NarSize, by which an archive is verified and bounded", c.src)
	}
	return &node{info: info}, nil
}

// closure reads the graph of all that is to be copied from the source, level
// by level, the paths of a level in parallel.
func (c *copier) closure(ctx context.Context, roots []storepath.Path) (graph, error) {
	g := graph{}
	level := roots
	if c.opts.All {
		if err := c.everything(ctx, g); err != nil {
			return nil, err
		}
		// What they refer to and is not among them is missing at the source,
		// and found so like any other reference.
		level = nil
		for _, n := range g {
			level = append(level, n.info.References...)
		}
	}
	level = g.unknown(level)
	for len(level) > 0 {
		var next []storepath.Path
		for p, n := range c.lookupAll(ctx, level) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if n.err != nil && !c.opts.KeepGoing {
				return nil, n.err
			}
			g[p] = n
			if n.err == nil && !c.opts.NoClosure {
				next = append(next, n.info.References...)
			}
		}
		level = g.unknown(next)
	}
	return g, g.checkCycles()
}

// everything reads all paths of the source. Those that go while it does are not
// among them.
func (c *copier) everything(ctx context.Context, g graph) error {
	if cache, ok := c.src.(BinaryCacheStore); ok {
		for file, err := range cache.NarInfos(ctx) {
			switch {
			case err == nil:
				g[file.Path] = &node{info: &file.PathInfo, file: file}
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.Is(err, ErrNotFound):
			case c.opts.KeepGoing:
				c.report.Failed = append(c.report.Failed, &PathError{Err: err})
			default:
				return err
			}
		}
		return nil
	}
	var all []storepath.Path
	for p, err := range c.src.AllPaths(ctx) {
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	for p, n := range c.lookupAll(ctx, all) {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case n.err == nil || c.opts.KeepGoing:
			g[p] = n
		case !errors.Is(n.err, ErrNotFound):
			return n.err
		}
	}
	return nil
}

// unknown returns those paths that are not in the graph, each once.
func (g graph) unknown(paths []storepath.Path) []storepath.Path {
	fresh := map[storepath.Path]bool{}
	for _, p := range paths {
		if g[p] == nil {
			fresh[p] = true
		}
	}
	return slices.Collect(maps.Keys(fresh))
}

// lookupAll asks for many paths in parallel.
func (c *copier) lookupAll(ctx context.Context, paths []storepath.Path) graph {
	type found struct {
		p storepath.Path
		n *node
	}
	g := graph{}
	each := mapSeq(ctx, lookups, withoutErrors(slices.Values(paths)), func(ctx context.Context, p storepath.Path) (found, error) {
		n, err := c.lookup(ctx, p)
		if err != nil {
			n = &node{info: &narinfo.PathInfo{Path: p}, err: fmt.Errorf("%s in %s: %w", p, c.src, err)}
		}
		return found{p, n}, nil
	})
	for f, err := range each {
		if err != nil {
			continue // cancelled: what is missing has no node, see below
		}
		g[f.p] = f.n
	}
	for _, p := range paths {
		if g[p] == nil {
			g[p] = &node{info: &narinfo.PathInfo{Path: p}, err: context.Cause(ctx)}
		}
	}
	return g
}

// checkCycles fails with ErrCycle where paths refer to each other in a circle;
// a path that refers to itself is no circle.
func (g graph) checkCycles() error {
	waiting := make(map[storepath.Path]int, len(g))
	users := make(map[storepath.Path][]storepath.Path, len(g))
	var ready []storepath.Path
	for p, n := range g {
		for _, ref := range n.references() {
			if g[ref] != nil {
				waiting[p]++
				users[ref] = append(users[ref], p)
			}
		}
		if waiting[p] == 0 {
			ready = append(ready, p)
		}
	}
	seen := 0
	for len(ready) > 0 {
		p := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		seen++
		for _, user := range users[p] {
			if waiting[user]--; waiting[user] == 0 {
				ready = append(ready, user)
			}
		}
	}
	if seen == len(g) {
		return nil
	}
	var circle []storepath.Path
	for p, n := range waiting {
		if n > 0 {
			circle = append(circle, p)
		}
	}
	slices.SortFunc(circle, storepath.Path.Compare)
	return fmt.Errorf("%w among or below %d paths, such as %s", ErrCycle, len(circle), circle[0])
}

// references are the distinct paths that a node refers to, itself left out.
func (n *node) references() []storepath.Path {
	refs := slices.DeleteFunc(slices.Clone(n.info.References), func(p storepath.Path) bool { return p == n.info.Path })
	slices.SortFunc(refs, storepath.Path.Compare)
	return slices.Compact(refs)
}
