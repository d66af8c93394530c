// Package ctxio ties readers to a context, for drivers whose reads do not end
// by themselves when it does.
package ctxio

import (
	"context"
	"io"
)

// MaxRead is the most that one Read of a [Reader] returns, so that a read of
// much memory is still cancelled promptly.
const MaxRead = 1 << 20

// Reader reads from R until Ctx is done, then fails with its cause.
type Reader struct {
	Ctx context.Context
	R   io.Reader
}

func (r *Reader) Read(p []byte) (int, error) {
	if r.Ctx.Err() != nil {
		return 0, context.Cause(r.Ctx)
	}
	return r.R.Read(p[:min(len(p), MaxRead)])
}
