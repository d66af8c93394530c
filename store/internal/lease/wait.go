package lease

import (
	"context"
	"time"
)

// Pauses between two looks at the state of a sweep.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 5 * time.Second
)

// DeadPause is how long a process that has taken nothing back may still have
// requests on their way, when it is known to have ended.
const DeadPause = 2 * time.Second

// waitForSweep returns when the state does not say sweeping, or the lock of the
// sweep has expired. The lease is renewed meanwhile. The caller holds writes.
func (s *Session) waitForSweep(ctx context.Context) error {
	begun, told := StartWatch(), false
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		state, attrs, err := ReadState(ctx, s.b)
		if isMissing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if state.Phase != Sweeping {
			return nil
		}
		now, err := s.serverTime(ctx)
		if err != nil {
			return err
		}
		if !state.Locked(attrs.ModTime, now) {
			return nil
		}
		if begun.AtLeast() >= DeadPause && Dead(state.Process) {
			return nil
		}
		if !told {
			s.log.InfoContext(ctx, "waiting for the end of a sweep", "bucket", s.b.String(), "run", state.Run, "collector", state.Holder)
			told = true
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		if s.sinceRenewal() >= Renew {
			if _, err := s.put(ctx); err != nil {
				return err
			}
		}
	}
}

func (s *Session) sinceRenewal() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.AtMost()
}

// serverTime is what the server's clock said when the watch began.
type serverTime struct {
	at    time.Time
	watch Stopwatch
}

// serverTime returns a time that the server's clock has passed: that of the
// lease's object, and what has gone by since the server told it.
func (s *Session) serverTime(ctx context.Context) (time.Time, error) {
	if s.told.at.IsZero() {
		attrs, err := s.b.Head(ctx, s.key)
		if err != nil {
			return time.Time{}, err
		}
		s.told = serverTime{attrs.ModTime, StartWatch()}
	}
	return s.told.at.Add(s.told.watch.AtLeast()), nil
}
