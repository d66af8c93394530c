package verify

import (
	"context"
	"iter"
	"sync"
)

// each applies fn to the items of a sequence, up to n at a time, and yields the
// results as they come.
func each[In, Out any](ctx context.Context, n int, in iter.Seq[In], fn func(context.Context, In) Out) iter.Seq[Out] {
	return func(yield func(Out) bool) {
		ctx, cancel := context.WithCancel(ctx)
		results := make(chan Out, n)
		places := make(chan struct{}, n)
		var workers sync.WaitGroup
		go func() {
			defer close(results)
			defer workers.Wait()
			for item := range in {
				select {
				case places <- struct{}{}:
				case <-ctx.Done():
					return
				}
				workers.Go(func() {
					defer func() { <-places }()
					results <- fn(ctx, item)
				})
			}
		}()
		defer func() {
			cancel()
			for range results { // until every goroutine is gone
			}
		}()
		for r := range results {
			if !yield(r) {
				return
			}
		}
	}
}
