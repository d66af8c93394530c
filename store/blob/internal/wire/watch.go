package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"example.com/nixs3/store/blob"
)

// watch ends a request and its answer when one of them stalls.
type watch struct {
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	phase phase
	next  stalled  // the error if the timer fires now; zero at rest
	stall *stalled // the error that ended the exchange

	content sync.Mutex // held while the content of the request is read
	over    bool       // it may not be read any more
}

// phase is the part of the exchange that the clock is for. The transport may
// still read the content of a request after the answer has arrived.
type phase uint8

const (
	asking phase = iota
	answered
	ended
)

func newWatch(cancel context.CancelCauseFunc) *watch {
	w := &watch{cancel: cancel}
	w.timer = time.AfterFunc(time.Hour, w.fire)
	return w
}

func (w *watch) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.next; s.what != "" {
		w.stall, w.next = &s, stalled{}
		w.cancel(w.stall)
	}
}

// wait starts the clock: after d the exchange ends with the error s.
func (w *watch) wait(p phase, d time.Duration, s stalled) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase == p {
		w.next = s
		w.timer.Reset(d)
	}
}

// rest stops the clock.
func (w *watch) rest(p phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase == p {
		w.timer.Stop()
		w.next = stalled{}
	}
}

// enter stops the clock of the phase before.
func (w *watch) enter(p phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.next, w.phase = stalled{}, p
}

// abandon ends reads of the request's content, which its owner may reuse after
// the operation has returned.
func (w *watch) abandon() {
	w.content.Lock()
	defer w.content.Unlock()
	w.over = true
}

// explain returns the stall that ended the exchange, or err where none did.
func (w *watch) explain(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stall != nil {
		return w.stall
	}
	return err
}

// sending is the body of a request. The clock runs from the end of one read to
// the next, while the transport sends, and not while the content is read.
type sending struct {
	io.ReadCloser
	w     *watch
	retry *blob.Retry
	left  int64 // -1 where the length is not known
}

func (s *sending) Read(p []byte) (int, error) {
	s.w.content.Lock()
	defer s.w.content.Unlock()
	if s.w.over {
		return 0, http.ErrBodyReadAfterClose
	}
	s.w.rest(asking)
	n, err := s.ReadCloser.Read(p)
	s.left -= int64(n)
	if err == io.EOF || s.left == 0 {
		s.w.wait(asking, s.retry.FirstByte, unanswered(s.retry))
	} else {
		s.w.wait(asking, s.retry.Stall, stalled{"the server took nothing more", s.retry.Stall})
	}
	return n, err
}

// receiving is the body of an answer.
type receiving struct {
	body   io.ReadCloser
	w      *watch
	answer Answer
	failed bool // the status is not a success

	left  time.Duration // until the stall
	stall time.Duration
	limit int64 // bytes that may still come, where it is not an object
	since int   // bytes since the clock began
	err   error
}

func (t *Transport) receive(r *http.Request, resp *http.Response, w *watch) *receiving {
	b := &receiving{body: resp.Body, w: w, stall: t.Retry.Stall}
	answer, told := r.Context().Value(answerKey{}).(Answer)
	b.failed = resp.StatusCode >= 300
	switch {
	case b.failed, !told && r.Method != http.MethodGet:
	case told:
		b.answer = answer
	default:
		b.answer.Object = true
	}
	b.limit = b.answer.Limit
	if b.limit == 0 {
		b.limit = maxError
	}
	if b.answer == (Answer{}) {
		b.stall = min(b.stall, errorTime)
	}
	b.left = b.stall
	return b
}

func (b *receiving) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if !b.answer.Object {
		p = p[:min(int64(len(p)), b.limit+1)]
	}
	begin := time.Now()
	b.w.wait(answered, b.left, stalled{"the server sent nothing more", b.stall})
	n, err := b.body.Read(p)
	b.w.rest(answered)
	b.left -= time.Since(begin)
	if err != nil {
		b.err = err
		if err != io.EOF {
			b.err = b.explain(err)
		}
	}
	if b.answer.Object {
		// Fewer bytes than seconds are a stall, as in curl and so in Nix.
		if b.since += n; b.since > 0 && b.since >= int(b.stall/time.Second) {
			b.since, b.left = 0, b.stall
		}
	} else if n = b.count(p[:n]); b.err == errTooMuch {
		b.w.cancel(nil)
	}
	if b.err != nil {
		b.w.enter(ended)
		b.w.cancel(nil)
	}
	return n, b.err
}

// count applies the limits of an answer.
func (b *receiving) count(p []byte) int {
	if b.answer.Tags > 0 {
		if b.answer.Tags -= bytes.Count(p, []byte{'<'}); b.answer.Tags <= 0 {
			b.err = errTooMuch
		}
	}
	n := min(int64(len(p)), b.limit)
	if int64(len(p)) > b.limit {
		b.err = errTooMuch
	}
	b.limit -= n
	return int(n)
}

// explain returns the reason why the answer broke off. After an error status it
// hides the kind of the reason: whether to repeat depends on the status alone.
func (b *receiving) explain(err error) error {
	err = b.w.explain(err)
	if b.failed {
		return errors.New("the answer breaks off: " + err.Error())
	}
	return err
}

func (b *receiving) Close() error {
	b.w.enter(ended)
	if b.err == nil {
		b.err = http.ErrBodyReadAfterClose
	}
	b.w.cancel(nil)
	b.w.abandon()
	return b.body.Close()
}

// drainTime bounds how long Drain waits for bytes.
const drainTime = time.Second

// Drain closes a body that is not used. It first reads a short rest, so that the
// connection can be used again.
func Drain(body io.ReadCloser) {
	if b, ok := body.(*receiving); ok {
		b.left = min(b.left, drainTime)
	}
	io.CopyN(io.Discard, body, maxError)
	body.Close()
}
