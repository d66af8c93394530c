package fakes3

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// Fault is a planned failure. Of the requests that match, the first Skip pass and
// the next Times fail. At most one fault strikes a request: the one that was
// injected first.
//
// The kinds of faults are:
//
//	""             answers an error and does nothing else
//	fail-in-200    answers status 200 with the error as body, as S3 does if a
//	               Complete or a copy fails after the answer has begun; the
//	               request has no effect
//	reset          breaks the connection before the request is read
//	reset-upload   breaks the connection after After bytes of the request's body
//	reset-body     performs the request and breaks the connection after After
//	               bytes of the answer's body
//	truncate       performs the request and closes the connection normally after
//	               After bytes of the answer's body
//	lose-response  performs the request, then breaks the connection without an
//	               answer
//	hang           does nothing until the client closes the connection
//	slow           waits for Delay, then performs the request
type Fault struct {
	Op  string // of the requests that match, as in Request; "" any
	Key string // of the requests that match; "" any

	Skip  int // matching requests that pass before; Skip: 4 strikes the fifth
	Times int // 0 means once, negative always

	Kind       string        // see above
	Status     int           // of "" and fail-in-200; default 503
	Code       string        // of "" and fail-in-200; default "SlowDown"
	RetryAfter time.Duration // of ""; 0 sends no such header
	After      int64         // bytes, for the kinds that say so
	Delay      time.Duration // before the fault strikes
}

// armed is an injected fault.
type armed struct {
	Fault
	seen int
}

// kinds are the kinds of faults.
var kinds = []string{"", "fail-in-200", "reset", "reset-upload", "reset-body", "truncate", "lose-response", "hang", "slow"}

// Inject adds faults. It panics for an unknown operation or kind.
func (s *Server) Inject(faults ...Fault) {
	for _, f := range faults {
		if f.Op != "" {
			mustKnow(f.Op)
		}
		if !slices.Contains(kinds, f.Kind) {
			panic(fmt.Sprintf("fakes3: unknown kind of fault %q", f.Kind))
		}
	}
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

// error returns the answer of a fault that answers an error.
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
