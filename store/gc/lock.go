package gc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/lease"
)

// ErrLocked is a cache that another collector is at work on. The error is a
// *LockedError.
var ErrLocked = errors.New("cache is locked by another collector")

// LockedError describes the holder of the lock of a cache.
type LockedError struct {
	Bucket, Run, Holder, Phase string
	Until                      time.Time // the lock expires, by the server's clock, unless it is renewed
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s is %s by run %s of %s, which holds the lock until %s unless it renews it", e.Bucket, e.Phase, e.Run, e.Holder,
		e.Until.UTC().Format(time.RFC3339))
}

// Is reports whether target is ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// errLost is a lock that was not renewed in time, or that somebody else took.
var errLost = errors.New("lost the collector's lock")

// lock is the collector's lock on a cache. What it protects is done only while
// check returns nil.
type lock struct {
	b     blob.Bucket
	log   *slog.Logger
	alone bool          // the server ignores conditions
	turn  chan struct{} // of capacity one; the writer of the state holds it

	state lease.State // as last written; guarded by turn
	etag  string      // guarded by turn

	mu   sync.Mutex // guards what follows, and is held during no request
	held lease.Stopwatch
	err  error

	lost context.CancelCauseFunc
	stop context.CancelFunc
	done sync.WaitGroup
}

// takeLock takes the lock of a cache for a run. The context that it returns ends
// when the lock is lost.
func takeLock(ctx context.Context, b blob.Bucket, cl clock, run string, opts Options) (*lock, context.Context, error) {
	l := &lock{b: b, log: opts.Logger, alone: opts.Alone, turn: make(chan struct{}, 1)}
	if err := l.claim(ctx, cl); err != nil {
		return nil, nil, err
	}
	l.state.Run, l.state.Holder, l.state.Process = run, lease.Holder(), lease.Process()
	l.held = lease.StartWatch()
	if err := l.write(ctx, lease.Marking); err != nil {
		if errors.Is(err, errLost) {
			err = fmt.Errorf("%w: %s: another one took it at the same time", ErrLocked, b)
		}
		return nil, nil, err
	}
	working, lost := context.WithCancelCause(ctx)
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.lost, l.stop = lost, stop
	l.done.Go(func() { l.renew(renewing) })
	return l, working, nil
}

// claim reads the state and sees that nobody holds the lock.
func (l *lock) claim(ctx context.Context, cl clock) error {
	waited := "" // the nonce of the state whose holder was killed
	for {
		state, attrs, err := lease.ReadState(ctx, l.b)
		if isMissing(err) {
			l.state.Since = cl.now()
			return nil
		}
		if err != nil {
			return err
		}
		if l.state, l.etag = *state, attrs.ETag; l.state.Since.IsZero() {
			l.state.Since = attrs.ModTime
		}
		if !state.Locked(attrs.ModTime, cl.now()) || waited != "" && waited == state.Nonce {
			return nil
		}
		if !lease.Dead(state.Process) {
			return &LockedError{l.b.String(), state.Run, state.Holder, string(state.Phase),
				attrs.ModTime.Add(time.Duration(state.TTL) * time.Second)}
		}
		// The holder was of this machine and was killed. What it sent before
		// may still arrive.
		l.log.InfoContext(ctx, "taking over the lock of a collector that was killed", "bucket", l.b.String(), "run", state.Run)
		if err := sleep(ctx, lease.DeadPause); err != nil {
			return err
		}
		waited = state.Nonce
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enter writes a phase into the state.
func (l *lock) enter(ctx context.Context, phase lease.Phase) error {
	return l.inTurn(ctx, func() error {
		if err := l.check(); err != nil {
			return err
		}
		return l.write(ctx, phase)
	})
}

func (l *lock) inTurn(ctx context.Context, f func() error) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
		return f()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write writes the state on condition that it is still as this lock left it.
func (l *lock) write(ctx context.Context, phase lease.Phase) error {
	next := l.state
	if phase == lease.Sweeping && next.Phase != lease.Sweeping {
		next.Sweeps++
	}
	next.Phase = phase
	data, err := marshalState(&next)
	if err != nil {
		return err
	}
	opts := controlType
	if !l.alone {
		opts.IfMatch, opts.IfNoneMatch = l.etag, l.etag == ""
	}
	sent := lease.StartWatch()
	attrs, err := l.b.Put(ctx, lease.StateKey, bytes.NewReader(data), opts)
	if err != nil {
		// The answer to a write that was done may have got lost.
		state, now, rerr := lease.ReadState(ctx, l.b)
		switch {
		case rerr == nil && state.Nonce == next.Nonce:
			attrs, err = now, nil
		case rerr == nil && state.Nonce != l.state.Nonce, errors.Is(err, blob.ErrPrecondition):
			return fmt.Errorf("%w: somebody else has written the state", errLost)
		}
	}
	if err != nil {
		return err
	}
	l.state, l.etag = next, attrs.ETag
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = sent
	return nil
}

// check fails when the lock is no longer held for certain.
func (l *lock) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && l.held.AtMost() >= lease.LockStop {
		l.err = fmt.Errorf("%w: it was not renewed for %v", errLost, l.held.AtMost().Round(time.Second))
		l.lost(l.err)
	}
	return l.err
}

// renew writes the state every few minutes until the context ends.
func (l *lock) renew(ctx context.Context) {
	for pause := lease.LockRenew; sleep(ctx, pause) == nil; {
		err := l.inTurn(ctx, func() error {
			if err := l.check(); err != nil {
				return err
			}
			return l.write(ctx, l.state.Phase)
		})
		pause = lease.LockRenew
		if errors.Is(err, errLost) {
			l.fail(err)
			return
		}
		if err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "the collector's lock could not be renewed", "bucket", l.b.String(), "error", err)
			pause = lease.LockRenew / 10
		}
	}
}

func (l *lock) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		l.lost(err)
	}
}

// release gives the lock back.
func (l *lock) release(ctx context.Context) error {
	l.stop()
	l.done.Wait()
	defer l.lost(nil)
	return l.enter(ctx, lease.Idle)
}

// abandon stops renewing the lock, which then expires by itself.
func (l *lock) abandon() {
	l.stop()
	l.done.Wait()
	l.lost(nil)
}
