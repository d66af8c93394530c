package lease

import "time"

// Stopwatch measures the time since a moment by two clocks of this machine: the
// monotonic one, which nobody can set but which may stand still while the
// machine sleeps, and that of the wall.
type Stopwatch struct{ start time.Time }

// StartWatch returns a watch that begins now.
func StartWatch() Stopwatch { return Stopwatch{time.Now()} }

// AtMost returns the longer of the two times that may have passed. The holder of
// a lease uses it to stop in time.
func (s Stopwatch) AtMost() time.Duration {
	monotonic, wall := s.elapsed()
	return max(monotonic, wall)
}

// AtLeast returns the shorter of the two times, at least zero. It serves to see
// that somebody else's time has passed.
func (s Stopwatch) AtLeast() time.Duration {
	monotonic, wall := s.elapsed()
	return max(0, min(monotonic, wall))
}

func (s Stopwatch) elapsed() (monotonic, wall time.Duration) {
	now := time.Now()
	return now.Sub(s.start), now.Round(0).Sub(s.start.Round(0))
}
