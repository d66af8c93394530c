package store

import (
	"sync/atomic"
	"time"
)

// progressCounters are what a transfer has done so far.
type progressCounters struct {
	paths               atomic.Int64
	narBytes, fileBytes atomic.Int64
	total               Progress // set before the transfer begins
}

// progress reads the counters. It takes no lock, so it delays nobody.
func (c *progressCounters) progress(dst Destination) Progress {
	now := c.total
	now.Paths = int(c.paths.Load())
	now.NARBytes, now.FileBytes = c.narBytes.Load(), c.fileBytes.Load()
	if m, ok := dst.(Metered); ok {
		now.Requests = m.Stats().Requests()
	}
	return now
}

// watch reports progress until the function that it returns is called.
func (c *progressCounters) watch(dst Destination, report func(Progress)) (stop func()) {
	if report == nil {
		return func() {}
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				report(c.progress(dst))
			case <-quit:
				report(c.progress(dst))
				return
			}
		}
	}()
	return func() { close(quit); <-gone }
}
