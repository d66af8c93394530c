// Package retry decides whether and when a driver repeats a request.
package retry

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"example.com/nixs3/store/blob"
)

// Delay returns the wait after the attempt-th failure, counted from 1. The
// policy has its defaults set; limited selects RateLimitedDelay. The upper half
// is random, so that many clients do not return at once.
func Delay(r blob.Retry, attempt int, limited bool) time.Duration {
	delay := r.Delay
	if limited {
		delay = r.RateLimitedDelay
	}
	for ; attempt > 1 && delay < r.MaxDelay; attempt-- {
		delay *= 2
	}
	delay = max(min(delay, r.MaxDelay), 0)
	return delay - rand.N(delay/2+1)
}

// After reads a Retry-After header: seconds or a date. It reports whether the
// header has one.
func After(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0), true
	}
	return 0, false
}

// IsPassing reports whether another attempt may get another status.
func IsPassing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return IsLimited(status)
}

// IsLimited reports whether a status asks the client to slow down.
func IsLimited(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// Sleep waits for d, or until the context ends and returns its cause.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
