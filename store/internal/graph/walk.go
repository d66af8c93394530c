package graph

import (
	"context"
	"iter"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// Node is a path of a graph.
type Node interface {
	// Info returns the description of the path. Its references are the edges
	// of the graph. Walk follows no references of a node whose Info is nil.
	Info() *narinfo.PathInfo
}

// Walk looks up the roots and all that they refer to, directly or through
// others: each path once, up to parallel at a time. user is a path that refers
// to p, zero for a root. Walk yields the nodes as they
// come. A failed lookup is yielded in the node's place and ends the walk, as
// does the end of the context and a closure that grows over the limits. When
// the consumer stops, the lookups under way are cancelled, and Walk returns
// when they have.
func Walk[N Node](ctx context.Context, roots []storepath.Path, parallel int, limits Limits, lookup func(ctx context.Context, p, user storepath.Path) (N, error)) iter.Seq2[N, error] {
	type item struct{ path, user storepath.Path }
	type result struct {
		node N
		err  error
	}
	return func(yield func(N, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		results := make(chan result)
		running := 0
		defer func() {
			cancel()
			for ; running > 0; running-- {
				<-results
			}
		}()

		var none N
		used := NewTally(limits)
		seen := map[storepath.Path]bool{}
		var queue []item
		discover := func(user storepath.Path, paths []storepath.Path) error {
			for _, p := range paths {
				if seen[p] {
					continue
				}
				if err := used.Path(); err != nil {
					return err
				}
				seen[p] = true
				queue = append(queue, item{p, user})
			}
			return nil
		}

		if err := discover(storepath.Path{}, roots); err != nil {
			yield(none, err)
			return
		}
		for len(queue) > 0 || running > 0 {
			if ctx.Err() != nil {
				yield(none, context.Cause(ctx))
				return
			}
			for len(queue) > 0 && running < parallel {
				next := queue[len(queue)-1]
				queue = queue[:len(queue)-1]
				running++
				go func() {
					n, err := lookup(ctx, next.path, next.user)
					results <- result{n, err}
				}()
			}
			r := <-results
			running--
			if r.err == nil {
				if info := r.node.Info(); info != nil {
					if r.err = used.info(info); r.err == nil {
						r.err = discover(info.Path, info.References)
					}
				}
			}
			if !yield(r.node, r.err) || r.err != nil {
				return
			}
		}
	}
}
