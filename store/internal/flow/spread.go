package flow

import (
	"context"
	"errors"
	"io"
	"sync"
)

var errPanic = errors.New("the writer of the stream panicked")

// Spread runs produce, in the calling goroutine, with a writer whose bytes
// every consumer reads, each in a goroutine of its own. So the slowest consumer
// sets the pace, and not the sum of all. The first failure of any of them, or
// the end of the context, ends all. A consumer that returns early without a
// failure no longer receives. Spread returns when all have returned; it cannot
// interrupt a produce that blocks.
func Spread(ctx context.Context, produce func(w io.Writer) error, consumers ...func(r io.Reader) error) error {
	f := NewFan(len(consumers))
	defer context.AfterFunc(ctx, func() { f.Fail(context.Cause(ctx)) })()

	var wg sync.WaitGroup
	defer wg.Wait()
	defer f.Fail(errPanic) // counts only when produce panics
	for i, consume := range consumers {
		wg.Go(func() {
			r := f.readers[i]
			defer r.Leave()
			if err := consume(r); err != nil {
				f.Fail(err)
			}
		})
	}
	err := produce(f)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		f.Fail(err)
	}
	wg.Wait()
	return f.Err()
}
