package flow

import (
	"context"
	"iter"
	"sync"
)

// Map applies fn to the items of a sequence, up to n at a time, and yields the
// results as they come. A failure of fn is yielded in its place and ends
// nothing; a failure of the sequence is yielded last. When the consumer stops,
// Map cancels the rest, and returns when all its goroutines have.
func Map[In, Out any](ctx context.Context, n int, in iter.Seq2[In, error], fn func(context.Context, In) (Out, error)) iter.Seq2[Out, error] {
	type result struct {
		out Out
		err error
	}
	return func(yield func(Out, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		results := make(chan result, n)
		places := make(chan struct{}, n)
		var workers sync.WaitGroup
		go func() {
			defer close(results)
			defer workers.Wait()
			for item, err := range in {
				if err != nil {
					results <- result{err: err}
					return
				}
				select {
				case places <- struct{}{}:
				case <-ctx.Done():
				}
				if ctx.Err() != nil { // also when both were ready
					results <- result{err: context.Cause(ctx)}
					return
				}
				workers.Go(func() {
					defer func() { <-places }()
					out, err := fn(ctx, item)
					results <- result{out, err}
				})
			}
		}()
		defer func() {
			cancel()
			for range results { // until every goroutine is gone
			}
		}()
		for r := range results {
			if !yield(r.out, r.err) {
				return
			}
		}
	}
}

// Values returns a sequence of the items without errors, as Map takes it.
func Values[T any](items []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range items {
			if !yield(v, nil) {
				return
			}
		}
	}
}
