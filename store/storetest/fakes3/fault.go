package fakes3

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"time"
)

// Kind is a kind of failure.
type Kind uint8

const (
	// Fail answers an error and does nothing else.
	Fail Kind = iota
	// FailIn200 answers status 200 with the error as body, as S3 does if a
	// Complete or a copy fails after the answer has begun. The request has no
	// effect.
	FailIn200
	// Reset breaks the connection before the request is read.
	Reset
	// ResetUpload breaks the connection after After bytes of the request's body.
	ResetUpload
	// ResetBody performs the request and breaks the connection after After bytes
	// of the answer's body.
	ResetBody
	// Truncate performs the request and closes the connection normally after
	// After bytes of the answer's body.
	Truncate
	// LoseResponse performs the request, then breaks the connection without an
	// answer.
	LoseResponse
	// Hang does nothing until the client closes the connection.
	Hang
	// Slow waits for Delay, then performs the request.
	Slow
)

// Fault is a planned failure. Of the requests that match, the first Skip pass and
// the next Times fail. At most one fault strikes a request: the one that was
// injected first.
type Fault struct {
	Op  Op     // of the requests that match; "" any
	Key string // of the requests that match; "" any

	Skip  int // matching requests that pass before; Skip: 4 strikes the fifth
	Times int // 0 means once, negative always

	Kind       Kind
	Status     int           // of Fail and FailIn200; default 503
	Code       string        // of Fail and FailIn200; default "SlowDown"
	RetryAfter time.Duration // of Fail; 0 sends no such header
	After      int64         // bytes, for the kinds that say so
	Delay      time.Duration // before the fault strikes
}

// armed is an injected fault.
type armed struct {
	Fault
	seen int
}

// Inject adds faults.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &armed{Fault: f})
	}
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// PendingFaults returns the faults that will strike further requests, so that a
// test can check that there are none.
func (s *Server) PendingFaults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pending []Fault
	for _, f := range s.faults {
		pending = append(pending, f.Fault)
	}
	return pending
}

// strike returns the fault that strikes a request, nil for none. The caller
// holds the lock.
func (s *Server) strike(req *Request) *Fault {
	var struck *Fault
	s.faults = slices.DeleteFunc(s.faults, func(f *armed) bool {
		if f.Op != "" && f.Op != req.Op || f.Key != "" && f.Key != req.Key {
			return false
		}
		if f.seen++; f.seen <= f.Skip {
			return false
		}
		if struck != nil {
			f.seen-- // it strikes a later one
			return false
		}
		fault := f.Fault
		struck = &fault
		return f.Times >= 0 && f.seen >= f.Skip+max(1, f.Times)
	})
	return struck
}

// error returns the answer of Fail and FailIn200.
func (f *Fault) error() *apiError {
	e := newError(cmp.Or(f.Status, errSlowDown.status), cmp.Or(f.Code, errSlowDown.Code), "injected fault")
	e.retryAfter = f.RetryAfter
	return e
}

// reset breaks the connection of a request, so that the client sees an RST. It
// does not return.
func reset(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			abort(conn)
		}
	}
	panic(http.ErrAbortHandler) // HTTP/2 has a frame for it
}

func abort(conn net.Conn) {
	raw := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	raw.Close()
}
