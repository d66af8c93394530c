package blob

import (
	"cmp"
	"time"
)

// Retry says how a driver deals with servers that fail, stall or are slow. A
// field of zero takes its default.
//
// A request is repeated after a broken connection, a stall and the statuses
// 408, 425, 429, 500, 502, 503 and 504. A Retry-After of the server takes
// precedence over the delays, up to MaxDelay. A download that breaks off is
// resumed where it broke; Attempts also bounds how often that happens without
// 64 KiB of progress in between.
type Retry struct {
	// Attempts is how often a request is sent in all. 1 never repeats it.
	// Default 5.
	Attempts int

	// Delay is the wait before the second attempt. It doubles with each
	// further one, and up to half of it is taken off at random. Default 100 ms.
	Delay time.Duration

	// MaxDelay bounds each wait. Default 1 minute.
	MaxDelay time.Duration

	// RateLimitedDelay takes the place of Delay after 429 and 503. Default 5 s.
	RateLimitedDelay time.Duration

	// Stall is the longest time in which a transfer may stand still, in either
	// direction; then it fails with ErrStalled. A download stands still below
	// one byte a second. A slow transfer is not stalled, however long it takes. An answer that is not an object (an error, a page of a listing) has
	// to arrive whole within this time. Default 5 minutes.
	Stall time.Duration

	// FirstByte is how long the server may take to answer after the request
	// has been sent; then it fails with ErrStalled. Default 5 minutes.
	FirstByte time.Duration
}

// WithDefaults returns r with the defaults in place of zeros.
func (r Retry) WithDefaults() Retry {
	return Retry{
		Attempts:         cmp.Or(r.Attempts, 5),
		Delay:            cmp.Or(r.Delay, 100*time.Millisecond),
		MaxDelay:         cmp.Or(r.MaxDelay, time.Minute),
		RateLimitedDelay: cmp.Or(r.RateLimitedDelay, 5*time.Second),
		Stall:            cmp.Or(r.Stall, 5*time.Minute),
		FirstByte:        cmp.Or(r.FirstByte, 5*time.Minute),
	}
}
