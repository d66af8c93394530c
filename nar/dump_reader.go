package nar

import (
	"context"
	"errors"
	"io"
)

var (
	errReaderClosed = errors.New("nar: the DumpReader is closed")
	errDumpEnded    = errors.New("nar: the dump ended without a result")
)

// DumpReader reads the archive that a function writes. Read starts the function
// in a goroutine, which ends before Close returns. WriteTo, and so [io.Copy],
// runs the function in the calling goroutine instead, straight into the
// destination.
//
// A panic of the function continues in the caller of Read or Close. A DumpReader
// is not safe for concurrent use, but Close may interrupt a Read.
type DumpReader struct {
	ctx  context.Context
	dump func(io.Writer) error

	pr       *io.PipeReader // nil before the first Read
	done     chan struct{}
	panicked any // what dump panicked with; valid once done is closed
}

// NewDumpReader returns a reader of what dump writes, such as
//
//	func(w io.Writer) error { return nar.Dump(w, path) }
//
// After ctx ends, Read and every Write of dump fail with the cause. A call that
// dump makes elsewhere is not interrupted.
func NewDumpReader(ctx context.Context, dump func(io.Writer) error) *DumpReader {
	return &DumpReader{ctx: ctx, dump: dump}
}

// Read reads the archive. It returns the error of dump, or io.EOF.
func (d *DumpReader) Read(p []byte) (int, error) {
	if d.pr == nil {
		d.start()
	}
	n, err := d.pr.Read(p)
	if err == errDumpEnded {
		<-d.done
		d.repanic()
	}
	return n, err
}

func (d *DumpReader) start() {
	pr, pw := io.Pipe()
	d.pr, d.done = pr, make(chan struct{})
	stop := context.AfterFunc(d.ctx, func() { pw.CloseWithError(context.Cause(d.ctx)) })
	go func() {
		defer close(d.done)
		defer stop()
		err := errDumpEnded // also after a panic or runtime.Goexit
		defer func() {
			d.panicked = recover()
			pw.CloseWithError(err)
		}()
		err = d.dump(pw)
	}()
}

// repanic continues a panic of dump, once.
func (d *DumpReader) repanic() {
	if v := d.panicked; v != nil {
		d.panicked = nil
		panic(v)
	}
}

// WriteTo writes the rest of the archive to w.
func (d *DumpReader) WriteTo(w io.Writer) (int64, error) {
	if d.pr != nil {
		return io.Copy(w, struct{ io.Reader }{d})
	}
	cw := &countWriter{ctx: d.ctx, w: w}
	err := d.dump(cw)
	return cw.n, err
}

// Close ends the dump, early or not, and waits for its goroutine. It returns
// nil.
func (d *DumpReader) Close() error {
	if d.pr != nil {
		d.pr.CloseWithError(errReaderClosed)
		<-d.done
		d.repanic()
	}
	return nil
}

// countWriter counts what it passes on, until its context ends.
type countWriter struct {
	ctx context.Context
	w   io.Writer
	n   int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
