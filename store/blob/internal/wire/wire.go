// Package wire is the HTTP transport of the drivers, and of the AWS SDK in them.
// A request ends when the server does not answer, stops sending or stops reading
// for longer than blob.Retry allows. An answer that is not an object ends at a
// bound.
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

	// errorTime bounds the time of such a body as a whole. The status matters
	// more.
	errorTime = 30 * time.Second
)

// Transport is a http.RoundTripper with limits.
type Transport struct {
	Base  http.RoundTripper
	Retry blob.Retry // with its defaults

	// Expect: 100-continue is left out once a server has answered it with 417.
	unexpecting atomic.Bool
}

// Answer describes the body of a successful answer to a request.
type Answer struct {
	Object bool  // the body has no limit, and any speed above a stall
	Limit  int64 // of another body, in bytes; 0 is maxError
	Tags   int   // greatest number of "<"; 0 means no limit
}

type answerKey struct{}

// WithAnswer returns a context for requests that expect another answer than the
// default: an object for a GET, a short body for other methods.
func WithAnswer(ctx context.Context, a Answer) context.Context {
	return context.WithValue(ctx, answerKey{}, a)
}

// RoundTrip sends a request. It fails with blob.ErrStalled when the server does
// not answer or does not read. The body of the answer fails so when the server
// stops sending. A request that is answered with 417 because of its Expect is
// repeated without it if it has a GetBody.
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

// stalled is the error of a transfer that took too long.
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
