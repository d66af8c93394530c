package gc

import (
	"time"

	"example.com/nixs3/store/internal/lease"
)

// clock is the server's clock: what it said once, and what has passed since. It
// is never ahead of the server.
type clock struct {
	at    time.Time
	watch lease.Stopwatch
}

func newClock(at time.Time) clock { return clock{at, lease.StartWatch()} }

func (c clock) now() time.Time { return c.at.Add(c.watch.AtLeast()) }
