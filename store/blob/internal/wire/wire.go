// Package wire is the HTTP transport of the drivers. Whatever sends requests
// through it, the AWS SDK included, waits no longer than blob.Retry allows for
// a server that does not answer, stops sending or stops reading, and reads no
// more than a bound of an answer that is not an object.
package wire

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"example.com/nixs3/store/blob"
)

const (
	// maxError bounds the body of an answer that is not a success, and of a
	// success that has no content to speak of.
	maxError = 64 << 10

	// errorTime bounds the time that such a body may take in all. The status
	// line has said what matters by then.
	errorTime = 30 * time.Second
)

// Transport is a http.RoundTripper with limits.
type Transport struct {
	Base  http.RoundTripper
	Retry blob.Retry // with its defaults

	// Expect: 100-continue is left out once a server has answered it with 417.
	unexpecting atomic.Bool
}

// Answer is what a request expects of the body of a successful answer.
type Answer struct {
	Object bool  // any number of bytes, at any speed above a stall
	Limit  int64 // else, in bytes; 0 is maxError
	Tags   int   // bounds how often "<" may occur, where it is not 0
}

type answerKey struct{}

// WithAnswer returns a context for requests whose answer is not the default
// one: an object for a GET, and next to nothing for other methods.
func WithAnswer(ctx context.Context, a Answer) context.Context {
	return context.WithValue(ctx, answerKey{}, a)
}

// RoundTrip sends a request. The error for a server that lets time pass is
// blob.ErrStalled.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.send(r)
	if err != nil || resp.StatusCode != http.StatusExpectationFailed || r.Header.Get("Expect") == "" {
		return resp, err
	}
	t.unexpecting.Store(true)
	if r.GetBody == nil {
		return resp, nil // the caller repeats it
	}
	body, err := r.GetBody()
	if err != nil {
		return resp, nil
	}
	resp.Body.Close()
	r = r.WithContext(r.Context())
	r.Body = body
	return t.send(r)
}

// Unexpecting reports whether the server is known to refuse Expect.
func (t *Transport) Unexpecting() bool { return t.unexpecting.Load() }

func (t *Transport) send(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	w := newWatch(cancel)
	out := r.WithContext(ctx)
	if t.unexpecting.Load() && r.Header.Get("Expect") != "" {
		out.Header = r.Header.Clone()
		out.Header.Del("Expect")
	}
	if r.Body != nil && r.Body != http.NoBody {
		out.Body = &sending{ReadCloser: r.Body, w: w, retry: &t.Retry, left: r.ContentLength}
		if r.GetBody != nil {
			// The base may begin anew on a connection that turned out dead.
			out.GetBody = func() (body io.ReadCloser, err error) {
				if body, err = r.GetBody(); err == nil {
					body = &sending{ReadCloser: body, w: w, retry: &t.Retry, left: r.ContentLength}
				}
				return body, err
			}
		}
	}
	w.wait(asking, t.Retry.FirstByte, unanswered(&t.Retry))
	resp, err := t.Base.RoundTrip(out)
	w.enter(answered)
	if err != nil {
		err = w.explain(err)
		cancel(nil)
		w.abandon()
		return nil, err
	}
	if resp.Request == nil {
		resp.Request = out
	}
	if resp.Body == nil || resp.Body == http.NoBody {
		cancel(nil)
		w.abandon()
		return resp, nil
	}
	resp.Body = t.receive(r, resp, w)
	return resp, nil
}

// stalled is the error of a transfer that was ended because time passed.
type stalled struct {
	what  string
	after time.Duration
}

func unanswered(r *blob.Retry) stalled { return stalled{"the server did not answer", r.FirstByte} }

func (e *stalled) Error() string        { return fmt.Sprintf("stalled: %s for %v", e.what, e.after) }
func (e *stalled) Is(target error) bool { return target == blob.ErrStalled }
func (e *stalled) Timeout() bool        { return true }
func (e *stalled) Temporary() bool      { return true }

var errTooMuch = fmt.Errorf("%w: the server's answer is longer than such answers are", blob.ErrTooLarge)
