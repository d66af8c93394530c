package codec

import (
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// guardWriter makes a codec's writers keep the promises of NewWriter: an error
// is final, and calls after Close do no harm.
func guardWriter(name string, open func(io.Writer, WriterOptions) (io.WriteCloser, error)) func(io.Writer, WriterOptions) (io.WriteCloser, error) {
	return func(w io.Writer, o WriterOptions) (io.WriteCloser, error) {
		dst := &sink{w: w}
		enc, err := open(dst, o)
		if dst.err != nil {
			return nil, dst.err
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return &writer{enc: enc, dst: dst}, nil
	}
}

// writer is what NewWriter returns.
type writer struct {
	enc io.WriteCloser // nil when closed
	dst *sink
	err error // the first error; final
}

func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.enc == nil {
		return 0, fs.ErrClosed
	}
	n, err := w.enc.Write(p)
	w.err = w.cause(err)
	return n, w.err
}

// Cutter is implemented by the writers that [NewWriter] returns. Cut makes the
// next byte begin a piece if the codec writes independent pieces (zstd, and with
// [WriterOptions].Parallel gzip, lz4, lzip and xz); otherwise Cut does nothing.
// Equal input between two cuts becomes equal output.
type Cutter interface {
	Cut() error
}

func (w *writer) Cut() error {
	if c, ok := w.enc.(Cutter); ok && w.err == nil {
		w.err = w.cause(c.Cut())
	}
	return w.err
}

// Close completes the stream. Every call returns the error that made the stream
// incomplete.
func (w *writer) Close() error {
	if w.enc == nil {
		return w.err
	}
	err := w.enc.Close()
	w.enc = nil
	if w.err == nil {
		w.err = w.cause(err)
	}
	return w.err
}

// resetWriter is an encoder that can begin anew.
type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

// pooledWriter is an encoder that Close returns to its pool.
type pooledWriter struct {
	enc  resetWriter
	pool *sync.Pool
	err  error // after an error Close does not complete the stream
}

func (p *pooledWriter) Write(b []byte) (int, error) {
	n, err := p.enc.Write(b)
	p.err = err
	return n, err
}

func (p *pooledWriter) Close() error {
	if p.err == nil {
		p.err = p.enc.Close()
	}
	p.enc.Reset(io.Discard) // drops the destination
	p.pool.Put(p.enc)
	return p.err
}

// cause returns the destination's error if there is one, rather than the
// encoder's.
func (w *writer) cause(err error) error {
	if w.dst.err != nil {
		return w.dst.err
	}
	return err
}

// sink is the destination until its first error. It is not written to again,
// though encoders try to on Close.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	s.err = err
	return n, err
}
