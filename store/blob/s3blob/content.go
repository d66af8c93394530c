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

// source is the content of an upload. It ends with the context, for the SDK
// hashes a body without a look at it, and remembers what failed, for an upload
// of content that cannot be read is not tried again.
type source struct {
	blob.Content
	ctx    context.Context
	failed atomic.Pointer[contentError]
}

// contentError says that not the server, but the content failed.
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

// guard makes an operation fail with what the content failed with.
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
