package main

import (
	"fmt"
	"time"
)

// say prints a line with a word in front.
func (q *quickstart) say(what, format string, args ...any) {
	fmt.Fprintf(q.out, "%-9s %s\n", what, fmt.Sprintf(format, args...))
}

// size formats a number of bytes with a decimal unit.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

func since(start time.Time) time.Duration { return time.Since(start).Round(time.Millisecond) }

func speed(n int64, start time.Time) string {
	return fmt.Sprintf("%.0f MB/s", float64(n)/1e6/time.Since(start).Seconds())
}
