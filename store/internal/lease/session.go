package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"example.com/nixs3/store/blob"
)

// ErrExpired is a lease that its writer could not renew in time. What the writer
// has published is whole; running it again finishes its work.
var ErrExpired = errors.New("lease on the cache expired")

// ErrCollected is a writer that began before the cache came under collection,
// and noticed only after a sweep had begun.
var ErrCollected = errors.New("cache was collected since the work began")

// How often a writer without a lease looks whether the cache has come under
// collection. A collector's first sweep waits longer than that, see [Settle].
const recheck = 500 * time.Millisecond

// Settle is how long after a cache came under collection the first sweep may
// begin, so that writers at work have noticed and taken a lease.
const Settle = 2 * time.Second

// Writers begins the sessions of the writers of a bucket that are in this
// process. Its methods are safe for concurrent use.
type Writers struct {
	b   blob.Bucket
	log *slog.Logger

	mu     sync.Mutex
	asked  bool
	absent Stopwatch // since the bucket was last seen not to be under collection
}

// NewWriters returns the writers of a bucket.
func NewWriters(b blob.Bucket, log *slog.Logger) *Writers { return &Writers{b: b, log: log} }

// uncollected notes that the bucket was not under collection.
func (w *Writers) uncollected(since Stopwatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.absent = true, since
}

// lastAbsent returns since when the bucket was last seen not to be under
// collection, if that is so recent that it still counts.
func (w *Writers) lastAbsent() (Stopwatch, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.absent, w.asked && w.absent.AtMost() < recheck
}

// Session is a writer at work. Its methods are safe for concurrent use. The
// methods of a nil Session, which is a writer without a bucket, do nothing.
type Session struct {
	*Writers
	key    string
	writes chan struct{} // of capacity one; the writer of the lease holds it

	mu     sync.Mutex // guards what follows, and is held during no request
	names  names
	safe   int // that many names may be relied on
	found  []string
	leased bool
	held   Stopwatch // since the last renewal was sent, or where not leased the last look at the state
	err    error     // why the session is over

	// Guarded by writes.
	begun time.Time  // of the lease, by the server's clock
	told  serverTime // what the server's clock said last

	stop context.CancelFunc // of the renewals
	done sync.WaitGroup
}

// Begin announces a writer of paths with these hash parts, which may rely on
// these archives, and waits until no sweep is under way. Only after that may the
// writer ask what the cache has. Where the cache is not under collection, Begin
// costs one request, at most two a second, and no lease is made. The caller ends
// the session.
func (w *Writers) Begin(ctx context.Context, hashParts, archives []string) (*Session, error) {
	s := &Session{Writers: w, key: Prefix + rand.Text(), writes: make(chan struct{}, 1), stop: func() {}}
	s.names.add(hashParts, archives)
	var known bool
	if s.held, known = w.lastAbsent(); known {
		return s, nil
	}
	s.held = StartWatch()
	switch _, _, err := ReadState(ctx, w.b); {
	case isMissing(err):
		w.uncollected(s.held)
		return s, nil
	case err != nil:
		return nil, err
	}
	if err := s.lease(ctx); err != nil {
		return nil, err
	}
	if err := s.waitForSweep(ctx); err != nil {
		s.End(ctx, nil)
		return nil, err
	}
	s.safe = s.names.len()
	return s, nil
}

// isMissing reports whether a failed read means that there is no object. S3
// denies access to a missing key where the bucket may not be listed.
func isMissing(err error) bool {
	return errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrNoSuchBucket) || errors.Is(err, blob.ErrAccessDenied)
}

// lease makes the session's lease and begins to renew it.
func (s *Session) lease(ctx context.Context) error {
	if _, err := s.put(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.leased = true
	s.mu.Unlock()
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.done.Go(func() { s.renew(renewing) })
	return nil
}

// renew writes the lease every Renew until the context ends.
func (s *Session) renew(ctx context.Context) {
	pause := Renew
	for {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		err := s.exclusively(ctx, func() error {
			_, err := s.put(ctx)
			return err
		})
		pause = Renew
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the lease could not be renewed", "bucket", s.b.String(), "key", s.key, "error", err)
			pause = Renew / 10
		}
	}
}

// exclusively runs what writes the lease.
func (s *Session) exclusively(ctx context.Context, f func() error) error {
	select {
	case s.writes <- struct{}{}:
		defer func() { <-s.writes }()
		return f()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// put writes the lease with all names that there are now, and returns their
// number.
func (s *Session) put(ctx context.Context) (int, error) {
	if s.isLeased() {
		if err := s.Check(ctx); err != nil {
			return 0, err
		}
		if s.begun.IsZero() {
			attrs, err := s.b.Head(ctx, s.key)
			if err != nil {
				return 0, err
			}
			s.begun = attrs.ModTime
		}
	}
	s.mu.Lock()
	l, n := s.names.lease(), s.names.len()
	s.mu.Unlock()
	l.Begun = s.begun
	sent := StartWatch()
	if _, err := put(ctx, s.b, s.key, l); err != nil {
		return 0, fmt.Errorf("leasing paths of the cache: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = sent
	return n, nil
}

// Leased reports whether the session has a lease, as it has where the cache is
// under collection.
func (s *Session) Leased() bool { return s != nil && s.isLeased() }

func (s *Session) isLeased() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leased
}

// Check fails unless the session may still publish. A writer calls it before
// each request that makes a path visible. It costs no request where there is a
// lease, else at most two a second.
func (s *Session) Check(ctx context.Context) error {
	if s == nil {
		return nil
	}
	due, err := s.due()
	if !due || err != nil {
		return err
	}
	return s.exclusively(ctx, func() error {
		if due, err := s.due(); !due || err != nil {
			return err
		}
		return s.enrol(ctx)
	})
}

// due reports whether the state has to be looked at again.
func (s *Session) due() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return false, s.err
	case !s.leased:
		return s.held.AtMost() >= recheck, nil
	case s.held.AtMost() >= Stop:
		return false, fmt.Errorf("%w: it was not renewed for %v; running the same again finishes the work", ErrExpired, s.held.AtMost().Round(time.Second))
	}
	return false, nil
}

// enrol takes a lease if the cache has come under collection since the session
// began. It is too late for that when a sweep has begun: what the writer found
// present may be gone.
func (s *Session) enrol(ctx context.Context) error {
	asked := StartWatch()
	_, _, err := ReadState(ctx, s.b)
	if isMissing(err) {
		s.uncollected(asked)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = asked
		return nil
	}
	if err == nil {
		err = s.lease(ctx)
	}
	if err != nil {
		return err
	}
	// Names that were added while the first request was under way.
	n, err := s.put(ctx)
	if err != nil {
		return err
	}
	state, _, err := ReadState(ctx, s.b)
	if err == nil && state.Sweeps > 0 {
		err = fmt.Errorf("%w; running the same again finishes the work", ErrCollected)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.safe, s.err = n, err
	return err
}

// Rely announces archives or paths that the writer has found in the cache and
// that were not among the names of the session. When it returns, the writer asks
// for them again, and may rely on what it finds then.
func (s *Session) Rely(ctx context.Context, hashParts, archives []string) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	s.names.add(hashParts, archives)
	n := s.names.len()
	known := !s.leased || n <= s.safe
	s.mu.Unlock()
	if known {
		return s.Check(ctx)
	}
	return s.exclusively(ctx, func() error {
		s.mu.Lock()
		known := n <= s.safe // somebody else's request has taken these along
		s.mu.Unlock()
		if known {
			return nil
		}
		announced, err := s.put(ctx)
		if err != nil {
			return err
		}
		if err := s.waitForSweep(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.safe = announced
		return nil
	})
}

// Covers reports whether the writer may rely on an archive that it finds,
// or overwrite it, without calling Rely for it first.
func (s *Session) Covers(archive string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.names.archives[archive]
	return !s.leased || ok && i < s.safe
}

// Found notes paths that the writer was asked to store and that the cache had
// already. When the session ends well, collectors take them for paths that were
// uploaded then. It costs no request.
func (s *Session) Found(hashParts ...string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.found)+len(hashParts) <= maxNames {
		s.found = append(s.found, hashParts...)
	}
}

// End ends the session. The lease goes, unless the writer failed: a request whose
// answer it does not know may still arrive, so the lease then expires by itself.
// Where the writer has found paths, a trace of them takes the place of the lease.
func (s *Session) End(ctx context.Context, failure error) {
	if s == nil {
		return
	}
	s.stop()
	s.done.Wait()
	if !s.isLeased() || failure != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	var err error
	if len(s.found) > 0 {
		trace := Lease{Paths: s.found, Done: true, TTL: int64(traceTTL / time.Second), Holder: Holder(), Nonce: rand.Text()}
		_, err = put(ctx, s.b, s.key, trace)
	} else {
		err = s.b.Delete(ctx, s.key)
	}
	if err != nil {
		s.log.DebugContext(ctx, "the lease stays until it expires", "bucket", s.b.String(), "key", s.key, "error", err)
	}
}

// endTime bounds the removal of a lease.
const endTime = 10 * time.Second
