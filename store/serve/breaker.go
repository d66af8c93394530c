package serve

import (
	"errors"
	"sync"
	"time"
)

// breaker keeps requests from a server that fails. After a number of failures
// in a row it is open: requests fail at once. After a while one is let through;
// if that succeeds the breaker closes, else the while doubles.
type breaker struct {
	mu       sync.Mutex
	failures int
	until    time.Time
}

const (
	breakerFailures = 3
	breakerPause    = 2 * time.Second
	breakerMaxPause = time.Minute
)

// errBreaker is a request that an open breaker did not let through.
var errBreaker = errors.New("not asked, since it failed several times")

// err returns errBreaker while the breaker is open. When the while is over, it
// lets one caller through and keeps the others out for another while.
func (b *breaker) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakerFailures {
		return nil
	}
	now := time.Now()
	if now.Before(b.until) {
		return errBreaker
	}
	b.until = now.Add(b.pause())
	return nil
}

// note counts the outcome of a request and reports whether the breaker is open.
func (b *breaker) note(failed bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !failed {
		b.failures = 0
		return false
	}
	b.failures++
	if b.failures >= breakerFailures {
		b.until = time.Now().Add(b.pause())
	}
	return b.failures >= breakerFailures
}

func (b *breaker) pause() time.Duration {
	pause := breakerPause
	for range b.failures - breakerFailures {
		if pause *= 2; pause >= breakerMaxPause {
			return breakerMaxPause
		}
	}
	return pause
}
