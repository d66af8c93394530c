package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"example.com/nixs3/narinfo/storepath"
)

const (
	// listingFrom is how many paths make it worth a thought to list the
	// destination instead of asking for each.
	listingFrom = 64

	// listingFactor bounds the listing: it is given up when it has more than
	// this many paths for each that we want to know of. Up to there it takes
	// fewer requests than asking, and less time than asking 64 at once.
	listingFactor = 16
)

// plan finds out what has to be sent, the biggest first.
func (c *copier) plan(ctx context.Context, g graph) ([]*node, error) {
	c.report.Paths = len(g) + len(c.report.Failed)
	todo := slices.Collect(maps.Values(g))
	if !c.opts.Repair {
		var err error
		if todo, err = c.absent(ctx, todo); err != nil {
			return nil, err
		}
		c.report.Present = len(g) - len(todo)
		before := len(todo)
		if todo, err = c.notUpstream(ctx, todo); err != nil {
			return nil, err
		}
		c.report.Upstream = before - len(todo)
	}
	slices.SortFunc(todo, func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.info.NarSize, a.info.NarSize), a.info.Path.Compare(b.info.Path))
	})
	for _, n := range todo {
		size := PathSize{Path: n.info.Path, NarSize: n.info.NarSize}
		if n.file != nil {
			size.FileSize = n.file.FileSize
		}
		c.report.Todo = append(c.report.Todo, size)
		c.report.Requests += 2
		if n.fileSize() >= askFirst {
			c.report.Requests++
		}
		if n.err == nil && len(c.opts.TrustedKeys) > 0 {
			n.err = checkTrust(c.opts.TrustedKeys, n.info)
		}
		if n.err != nil && !c.opts.KeepGoing {
			return nil, &PathError{n.info.Path, n.err}
		}
	}
	return todo, nil
}

// absent returns the nodes that the destination does not have.
func (c *copier) absent(ctx context.Context, nodes []*node) ([]*node, error) {
	present := map[string]bool{}
	rest := nodes
	if len(nodes) >= listingFrom {
		var err error
		if present, rest, err = c.listed(ctx, nodes); err != nil {
			return nil, err
		}
	}
	asked, err := filterNodes(ctx, rest, func(ctx context.Context, n *node) (bool, error) {
		has, err := c.dst.Has(ctx, n.info.Path)
		if isAbsent(err) {
			err = nil
		}
		return has, err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool {
		return present[n.info.Path.HashPart()] || asked[n.info.Path]
	}), nil
}

// listed lists the destination and returns which of the nodes are there, and
// the nodes of which the listing, if it was not read to its end, says nothing.
func (c *copier) listed(ctx context.Context, nodes []*node) (present map[string]bool, rest []*node, err error) {
	present = map[string]bool{}
	wanted := make(map[string]*node, len(nodes))
	highest := ""
	for _, n := range nodes {
		wanted[n.info.Path.HashPart()] = n
		highest = max(highest, n.info.Path.HashPart())
	}
	last, count := "", 0
	for hashPart, err := range c.dst.HashParts(ctx) {
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

// notUpstream leaves out what an upstream serves with a signature that counts.
func (c *copier) notUpstream(ctx context.Context, nodes []*node) ([]*node, error) {
	for _, up := range c.opts.Upstreams {
		served, err := filterNodes(ctx, nodes, func(ctx context.Context, n *node) (bool, error) {
			info, err := up.Store.PathInfo(ctx, n.info.Path)
			if isAbsent(err) {
				return false, nil
			}
			return err == nil && checkTrust(up.Keys, info) == nil, err
		})
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", up.Store, err)
		}
		nodes = slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return served[n.info.Path] })
	}
	return nodes, nil
}

// filterNodes asks of each node in parallel whether something holds.
func filterNodes(ctx context.Context, nodes []*node, holds func(context.Context, *node) (bool, error)) (map[storepath.Path]bool, error) {
	yes := map[storepath.Path]bool{}
	each := mapSeq(ctx, lookups, withoutErrors(slices.Values(nodes)), func(ctx context.Context, n *node) (*node, error) {
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

func withoutErrors[T any](seq iter.Seq[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v := range seq {
			if !yield(v, nil) {
				return
			}
		}
	}
}
