package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/flow"
)

const (
	// listingFrom is the number of paths from which Copy considers to list the
	// destination instead of asking for each.
	listingFrom = 64

	// listingFactor bounds the listing: Copy ends it after this many paths for
	// each path in question. Up to there a listing takes fewer requests than
	// asking, and less time than asking for 64 at once.
	listingFactor = 16
)

// planner determines the paths to send.
type planner struct {
	dst      Destination
	opts     CopyOptions
	compared *comparison // nil, or the graph has only what it says is missing, and references
	asked    bool        // the nodes know already whether the destination has them
}

// plan returns the nodes to be sent, the largest first, and reports them.
func (p *planner) plan(ctx context.Context, g closure, report *CopyReport) ([]*node, error) {
	report.Paths = len(g) + len(report.Failed)
	if p.compared != nil {
		report.Paths = len(p.compared.paths) - p.compared.gone
	}
	todo := slices.Collect(maps.Values(g))
	if !p.opts.Repair {
		var err error
		if p.asked {
			todo = slices.DeleteFunc(todo, func(n *node) bool { return n.present })
		} else if todo, err = absent(ctx, p.dst, todo); err != nil {
			return nil, err
		}
		markPresent(g, todo)
		for _, n := range todo {
			if n.unread {
				return nil, fmt.Errorf("%s: %w: %s had it when the copy began, but no longer does; run the copy again", n.info.Path, ErrMissingReference, p.dst)
			}
		}
		report.Present = report.Paths - len(report.Failed) - len(todo)
		before := len(todo)
		if todo, err = p.notUpstream(ctx, todo); err != nil {
			return nil, err
		}
		report.Upstream = before - len(todo)
	}
	slices.SortFunc(todo, func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.info.NarSize, a.info.NarSize), a.info.Path.Compare(b.info.Path))
	})
	for _, n := range todo {
		size := PathSize{Path: n.info.Path, NarSize: n.info.NarSize}
		if n.file != nil {
			size.FileSize = n.file.FileSize
		}
		report.Todo = append(report.Todo, size)
		report.Requests += 2
		if n.fileSize() >= askFirst {
			report.Requests++
		}
		if n.err != nil && !p.opts.KeepGoing {
			return nil, &CopyError{n.info.Path, n.err}
		}
	}
	return todo, nil
}

// markPresent notes which nodes the destination has.
func markPresent(g closure, absent []*node) {
	for _, n := range g {
		n.present = true
	}
	for _, n := range absent {
		n.present = false
	}
}

// absent returns the nodes that the destination does not have.
func absent(ctx context.Context, dst Destination, nodes []*node) ([]*node, error) {
	present := map[string]bool{}
	rest := nodes
	if len(nodes) >= listingFrom {
		var err error
		if present, rest, err = listed(ctx, dst, nodes); err != nil {
			return nil, err
		}
	}
	has := dst.Has
	if fresh, ok := dst.(interface {
		hasNow(context.Context, storepath.Path) (bool, error)
	}); ok {
		has = fresh.hasNow
	}
	asked, err := filterNodes(ctx, rest, func(ctx context.Context, n *node) (bool, error) {
		there, err := has(ctx, n.info.Path)
		if isAbsent(err) {
			err = nil
		}
		return there, err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool {
		return present[n.info.Path.HashPart()] || asked[n.info.Path]
	}), nil
}

// listed lists the destination and returns which of the nodes are there. rest
// are the nodes beyond the end of an incomplete listing.
func listed(ctx context.Context, dst Destination, nodes []*node) (present map[string]bool, rest []*node, err error) {
	present = map[string]bool{}
	wanted := make(map[string]*node, len(nodes))
	highest := ""
	for _, n := range nodes {
		wanted[n.info.Path.HashPart()] = n
		highest = max(highest, n.info.Path.HashPart())
	}
	last, count := "", 0
	for hashPart, err := range dst.HashParts(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil, nil, context.Cause(ctx)
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, ErrAccessDenied):
			return present, nodes, nil // to be asked one by one
		case isAbsent(err):
			return present, nil, nil
		case err != nil:
			return nil, nil, err
		}
		if wanted[hashPart] != nil {
			present[hashPart] = true
		}
		last = hashPart
		if count++; last >= highest || count > listingFactor*len(nodes) {
			break
		}
	}
	if count <= listingFactor*len(nodes) {
		return present, nil, nil
	}
	for hashPart, n := range wanted {
		if hashPart > last {
			rest = append(rest, n)
		}
	}
	return present, rest, nil
}

// notUpstream filters out the nodes that an upstream serves with a valid
// signature.
func (p *planner) notUpstream(ctx context.Context, nodes []*node) ([]*node, error) {
	checks := newChecks()
	for _, up := range p.opts.Upstreams {
		served, err := filterNodes(ctx, nodes, func(ctx context.Context, n *node) (bool, error) {
			info, err := up.Store.PathInfo(ctx, n.info.Path)
			if isAbsent(err) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			return checks.do(ctx, func() error { return checkTrust(up.Keys, info) }) == nil, nil
		})
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", up.Store, err)
		}
		nodes = slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return served[n.info.Path] })
	}
	return nodes, nil
}

// filterNodes returns the paths of the nodes for which holds, called in parallel,
// returns true.
func filterNodes(ctx context.Context, nodes []*node, holds func(context.Context, *node) (bool, error)) (map[storepath.Path]bool, error) {
	yes := map[storepath.Path]bool{}
	each := flow.Map(ctx, lookups, flow.Values(nodes), func(ctx context.Context, n *node) (*node, error) {
		if ok, err := holds(ctx, n); !ok {
			return nil, err
		}
		return n, nil
	})
	for n, err := range each {
		if err != nil {
			return nil, err
		}
		if n != nil {
			yes[n.info.Path] = true
		}
	}
	return yes, nil
}
