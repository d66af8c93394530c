// Package resume reads objects over connections that break. A [Body] requests
// the rest of an answer that broke off and joins the two. Its reader gets the
// bytes of one object or an error.
package resume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/retry"
)

// Config configures a Body.
type Config struct {
	// Fetch makes one request. Offset and Length of the object are the part
	// that the server sent, which may be more than the requested one; see
	// Place. A part that begins at or after the end is an object of no bytes.
	// If the condition does not hold, Fetch fails with blob.ErrPrecondition.
	Fetch func(ctx context.Context, opts blob.GetOptions) (*blob.Object, error)

	// Fail makes the error of the operation from that of a read.
	Fail func(error) error

	// Resuming is called before each request for the rest.
	Resuming func(offset int64, reason error)

	// Retry has its defaults set.
	Retry blob.Retry
}

// progress is the number of bytes after which the count of failures begins
// again.
const progress = 64 << 10

// Body is an open part of an object, over as many answers as it takes.
type Body struct {
	Config
	ctx  context.Context
	opts blob.GetOptions // as the caller gave them
	same blob.Attrs      // of the first answer

	next, end int64 // of the object; end is -1 where it is not known
	mark      int64 // where it was resumed last
	failures  int   // since the last progress

	current io.ReadCloser
	whole   bool  // current ends where the body does
	broken  error // of current, after the bytes that came with it
	done    error // of every further Read
}

// Open asks for a part and returns it with a body that resumes. The context
// governs the body too.
func Open(ctx context.Context, opts blob.GetOptions, c Config) (*blob.Object, error) {
	if _, _, err := opts.Range(0); err != nil {
		return nil, c.Fail(err)
	}
	if opts.Length > 0 && opts.Offset+opts.Length < 0 {
		opts.Length = 0 // beyond the largest offset: to the end
	}
	obj, err := c.Fetch(ctx, opts)
	if err != nil {
		return nil, c.Fail(err)
	}
	b := &Body{Config: c, ctx: ctx, opts: opts, same: obj.Attrs, current: obj.Body}
	if err := b.begin(obj); err != nil {
		b.Close()
		return nil, c.Fail(err)
	}
	obj.Body = b
	return obj, nil
}

// begin sets the body to the part that was requested of the first answer.
func (b *Body) begin(obj *blob.Object) error {
	if want := b.opts.IfMatch; want != "" && unquoted(obj.ETag) != unquoted(want) {
		return blob.ErrPrecondition // the server ignored the condition
	}
	b.next, b.end = obj.Offset, -1
	if obj.Size < 0 {
		if b.opts.Offset > 0 || b.opts.Length > 0 {
			return fmt.Errorf("%w: the server knows neither ranges nor the size of the object", errors.ErrUnsupported)
		}
		obj.Length = -1
		return nil
	}
	offset, length, err := b.opts.Range(obj.Size)
	if err != nil {
		return err
	}
	b.next, b.end = offset, offset+length
	b.whole = obj.Offset+obj.Length == b.end
	skip := offset - obj.Offset
	obj.Offset, obj.Length = offset, length
	if length == 0 {
		return nil
	}
	if err := b.skip(skip); err != nil {
		return b.recover(err)
	}
	return nil
}

// skip reads the bytes of an answer that come before the next one.
func (b *Body) skip(n int64) error {
	if n < 0 {
		return fmt.Errorf("%w: expected bytes from %d, got them from %d", errPlace, b.next, b.next-n)
	}
	_, err := io.CopyN(io.Discard, b.current, n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

var errPlace = errors.New("the server sent another part")

func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for b.done == nil {
		n, err := b.read(p)
		b.next += int64(n)
		if n > 0 {
			b.broken = err
			return n, nil
		}
		if err == nil {
			continue
		}
		if err = b.recover(err); err == io.EOF {
			b.done = err
		} else if err != nil {
			b.done = b.Fail(err)
		}
	}
	return 0, b.done
}

// read reads from the current answer up to the end.
func (b *Body) read(p []byte) (int, error) {
	switch {
	case b.broken != nil:
		return 0, b.broken
	case b.next == b.end && b.whole:
		// Its last word may be that a checksum does not match.
		b.whole = false
		if n, err := b.current.Read(make([]byte, 1)); n == 0 && errors.Is(err, blob.ErrChecksum) {
			return 0, err
		}
		return 0, io.EOF
	case b.next == b.end:
		return 0, io.EOF
	case b.ctx.Err() != nil:
		return 0, context.Cause(b.ctx) // the connection may take a while to notice
	case b.end >= 0:
		p = p[:min(int64(len(p)), b.end-b.next)]
	}
	return b.current.Read(p)
}

// recover requests the rest after an answer ended, or returns the error that
// ends the body.
func (b *Body) recover(err error) error {
	for {
		switch {
		case errors.Is(err, blob.ErrChecksum), errors.Is(err, errPlace):
			return err
		case b.next == b.end, err == io.EOF && b.end < 0:
			return io.EOF
		case err == io.EOF:
			err = io.ErrUnexpectedEOF
		}
		if b.ctx.Err() != nil {
			return context.Cause(b.ctx)
		}
		if b.next-b.mark >= progress {
			b.failures = 0
		}
		b.failures, b.mark = b.failures+1, b.next
		if !b.provable() || b.failures >= b.Retry.Attempts {
			return broken(err)
		}
		b.Resuming(b.next, err)
		if err := retry.Sleep(b.ctx, retry.Delay(b.Retry, b.failures, false)); err != nil {
			return err
		}
		again, fatal := b.resume()
		if again == nil || fatal {
			return again
		}
		err = again
	}
}

// provable reports whether a further answer can be used.
func (b *Body) provable() bool {
	return b.opts.Verified || isStrong(b.same.ETag) || !b.same.ModTime.IsZero()
}

// resume requests the rest. It reports whether its error is final.
func (b *Body) resume() (err error, fatal bool) {
	b.current.Close()
	b.current, b.broken = io.NopCloser(strings.NewReader("")), nil
	opts := blob.GetOptions{Offset: b.next, Verified: b.opts.Verified}
	if b.end >= 0 {
		opts.Length = b.end - b.next
	}
	if isStrong(b.same.ETag) {
		opts.IfMatch = b.same.ETag
	}
	obj, err := b.Fetch(b.ctx, opts)
	switch {
	case errors.Is(err, blob.ErrPrecondition):
		return errChanged, true
	case err != nil:
		if e, ok := errors.AsType[*blob.Error](err); ok && e.Status == 0 && b.ctx.Err() == nil {
			e.Err = broken(e.Err) // no server answers any more
		}
		return err, true
	}
	b.current, b.whole = obj.Body, b.end >= 0 && obj.Offset+obj.Length == b.end
	if err := b.isSame(obj.Attrs); err != nil {
		return err, true
	}
	switch {
	case obj.Size == b.next && b.end < 0:
		b.end = b.next // it had broken off at its very end
		return nil, true
	case obj.Length >= 0 && obj.Offset+obj.Length < b.end:
		return fmt.Errorf("%w: expected bytes to %d, got them to %d", errPlace, b.end, obj.Offset+obj.Length), true
	}
	err = b.skip(b.next - obj.Offset)
	return err, errors.Is(err, errPlace)
}

var errChanged = fmt.Errorf("%w: the object changed while it was read", blob.ErrPrecondition)

// isSame returns an error if an answer is of another object than the first one,
// or if neither is proved and the caller does not verify.
func (b *Body) isSame(now blob.Attrs) error {
	was := b.same
	weak := func(etag string) string { return unquoted(strings.TrimPrefix(etag, "W/")) }
	sameETag := was.ETag != "" && weak(was.ETag) == weak(now.ETag)
	sameTime := !was.ModTime.IsZero() && was.ModTime.Equal(now.ModTime)
	switch {
	case was.Size >= 0 && now.Size >= 0 && was.Size != now.Size,
		was.ETag != "" && now.ETag != "" && !sameETag,
		!sameETag && !sameTime && !was.ModTime.IsZero() && !now.ModTime.IsZero():
		return errChanged
	case b.opts.Verified,
		sameETag && isStrong(was.ETag) && isStrong(now.ETag),
		sameTime && !isStrong(was.ETag):
		return nil
	}
	return errors.New("the server no longer says which version of the object it sends")
}

// isStrong reports whether equal ETags of this kind mean equal bytes.
func isStrong(etag string) bool { return etag != "" && !strings.HasPrefix(etag, "W/") }

func unquoted(etag string) string { return strings.Trim(etag, `"`) }

// broken is the error of a body that ends too early.
func broken(cause error) error {
	if errors.Is(cause, io.ErrUnexpectedEOF) {
		return cause
	}
	return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, cause)
}

// Close ends the current request. Bytes that were not read are lost.
func (b *Body) Close() error {
	if b.done == nil || b.done == io.EOF {
		b.done = errClosed
	}
	return b.current.Close()
}

var errClosed = errors.New("read of a closed body")
