package s3blob

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"example.com/nixs3/store/blob"
)

// source is the content of an upload. Its reads fail when the context ends,
// since the SDK hashes a body without looking at the context. It remembers a
// failure, since an upload of content that cannot be read is not repeated.
type source struct {
	blob.Content
	ctx    context.Context
	failed atomic.Pointer[contentError]
}

// contentError is a failure of the content, not of the server.
type contentError struct{ err error }

func (e *contentError) Error() string      { return "reading the content: " + e.err.Error() }
func (e *contentError) Unwrap() error      { return e.err }
func (*contentError) RetryableError() bool { return false }

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	n, err := s.Content.ReadAt(p, off)
	switch {
	case err == nil, err == io.EOF && off+int64(n) >= s.Size():
		return n, err
	case err == io.EOF:
		err = fmt.Errorf("%w at byte %d of %d", io.ErrUnexpectedEOF, off+int64(n), s.Size())
	}
	s.failed.CompareAndSwap(nil, &contentError{err})
	return n, err
}

// guard makes an operation fail with the error of the content.
func (s *source) guard(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("ContentError",
			func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
				out, metadata, err := next.HandleFinalize(ctx, in)
				if failed := s.failed.Load(); failed != nil && err != nil {
					err = failed
				}
				return out, metadata, err
			}), "Retry", middleware.After)
	})
}
