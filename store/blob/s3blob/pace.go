package s3blob

import (
	"context"
	"sync"
	"time"

	"example.com/nixs3/store/blob/internal/retry"
)

// pace is how many requests of a client are under way at once. There is no
// limit until the server asks to slow down. Then the requests under way are
// halved, and one more is allowed for each round of them that succeeds, as TCP
// does with its segments.
type pace struct {
	mu        sync.Mutex
	active    int
	limit     int       // 0 is none
	succeeded int       // since the limit was raised
	cut       time.Time // when the limit was last lowered
	held      time.Time // until when nothing is sent
	freed     chan struct{}
}

// unlimited is the limit from which on there is none.
const unlimited = 1024

// begin waits until one more request may be sent, and returns the time of that.
func (p *pace) begin(ctx context.Context) (time.Time, error) {
	for {
		p.mu.Lock()
		now := time.Now()
		wait := p.held.Sub(now)
		if wait <= 0 && (p.limit == 0 || p.active < p.limit) {
			p.active++
			p.mu.Unlock()
			return now, nil
		}
		if p.freed == nil {
			p.freed = make(chan struct{})
		}
		freed := p.freed
		p.mu.Unlock()
		if wait > 0 {
			if err := retry.Sleep(ctx, wait); err != nil {
				return now, err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return now, context.Cause(ctx)
		case <-freed:
		}
	}
}

// end notes how a request ended that was sent at began, and returns the limit.
func (p *pace) end(began time.Time, throttled bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case throttled && began.After(p.cut): // others of the same burst do not count
		p.limit, p.succeeded, p.cut = max(1, p.active/2), 0, time.Now()
	case !throttled && p.limit > 0:
		if p.succeeded++; p.succeeded >= p.limit {
			p.limit, p.succeeded = p.limit+1, 0
		}
		if p.limit >= unlimited {
			p.limit = 0
		}
	}
	p.active--
	if p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
	return p.limit
}

// hold keeps all requests back for d.
func (p *pace) hold(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := time.Now().Add(d); until.After(p.held) {
		p.held = until
	}
}
