package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"example.com/nixs3/store/blob"
)

// stallTime is how long a body may send nothing before its connection is taken
// for broken.
const stallTime = time.Minute

var errStalled = errors.New("the server sends nothing more")

// body is an open range of an object. When its connection breaks or stalls, it
// asks for the rest, on condition that the object is still the same.
type body struct {
	g   *download
	ctx context.Context

	etag      string
	next, end int64 // of the object; end is -1 where it is not known

	current  io.ReadCloser
	broken   error // what current failed with, after bytes that had to be delivered first
	cancel   context.CancelCauseFunc
	stalled  *time.Timer
	failures int   // since the last byte
	done     error // what Read returns from now on
}

func newBody(ctx context.Context, g *download) *body { return &body{g: g, ctx: ctx} }

// open asks for a range and makes its bytes the next ones.
func (r *body) open(opts blob.GetOptions) (*blob.Object, error) {
	r.drop()
	ctx, cancel := context.WithCancelCause(r.ctx)
	r.cancel = cancel
	obj, err := r.g.request(ctx, opts)
	if err != nil {
		return nil, err
	}
	r.current, r.broken = obj.Body, nil
	r.etag, r.next, r.end = obj.ETag, obj.Offset, -1
	if obj.Length >= 0 {
		r.end = obj.Offset + obj.Length
	}
	r.stalled = time.AfterFunc(r.g.b.stallTime, func() { cancel(errStalled) })
	r.stalled.Stop()
	return obj, nil
}

func (r *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.done == nil {
		n, err := r.read(p)
		r.next += int64(n)
		if n > 0 {
			r.broken, r.failures = err, 0
			return n, nil
		}
		if err == nil {
			continue
		}
		r.done = r.recover(err)
	}
	return 0, r.done
}

// read reads from the current connection.
func (r *body) read(p []byte) (int, error) {
	if r.broken != nil {
		return 0, r.broken
	}
	r.stalled.Reset(r.g.b.stallTime)
	n, err := r.current.Read(p)
	if !r.stalled.Stop() && err != nil && r.ctx.Err() == nil {
		err = errStalled
	}
	return n, err
}

// recover opens the rest after the connection ended, or returns what the whole
// body ends with.
func (r *body) recover(err error) error {
	switch {
	case isChecksumMismatch(err):
		return r.fail(fmt.Errorf("%w: %w", blob.ErrChecksum, err))
	case r.next == r.end, err == io.EOF && r.end < 0:
		return io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	r.failures++
	retry := &r.g.b.opts.Retry
	if r.ctx.Err() != nil || r.end < 0 || r.etag == "" || r.failures >= retry.Attempts {
		return r.fail(err)
	}
	r.g.b.log.Debug("resuming a broken download", "bucket", r.g.b.name, "key", r.g.full, "offset", r.next, "error", err)
	if r.failures > 1 {
		if err := sleep(r.ctx, backoff(retry.Delay, retry.MaxDelay, r.failures-1)); err != nil {
			return r.fail(err)
		}
	}
	end := r.end
	obj, openErr := r.open(blob.GetOptions{Offset: r.next, Length: r.end - r.next, IfMatch: r.etag})
	switch {
	case statusOf(openErr) == http.StatusPreconditionFailed, errors.Is(openErr, blob.ErrPrecondition):
		return r.fail(fmt.Errorf("%w: the object was replaced while it was read", blob.ErrPrecondition))
	case openErr != nil:
		return r.fail(openErr)
	case obj.Offset+obj.Length != end:
		return r.fail(io.ErrUnexpectedEOF)
	}
	return nil
}

// fail makes an error of the whole body. A connection that broke for good is an
// unexpected end, whatever broke it.
func (r *body) fail(err error) error {
	err = r.g.b.fail(r.ctx, "Get", r.g.key, err)
	var e *blob.Error
	if errors.As(err, &e) && e.Status == 0 && r.ctx.Err() == nil &&
		!errors.Is(err, blob.ErrChecksum) && !errors.Is(err, blob.ErrPrecondition) && !errors.Is(err, io.ErrUnexpectedEOF) {
		e.Err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, e.Err)
	}
	return err
}

// drop lets go of the current connection.
func (r *body) drop() {
	if r.stalled != nil {
		r.stalled.Stop()
	}
	if r.cancel != nil {
		r.cancel(nil)
	}
	if r.current != nil {
		r.current.Close()
	}
}

// Close lets go of the connection. What was not read is lost.
func (r *body) Close() error {
	r.drop()
	if r.done == nil || r.done == io.EOF {
		r.done = errClosed
	}
	return nil
}

var errClosed = errors.New("s3blob: read of a closed body")
