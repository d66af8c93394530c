package nar

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// readerBuffer is the size of a Reader's buffer. It holds any token.
const readerBuffer = 64 << 10

var errBadCount = errors.New("a Read returned an impossible count")

// maxEmptyReads bounds how often in a row a source may return 0, nil.
const maxEmptyReads = 100

// Reader reads a NAR entry by entry. [Reader.Next] moves to the next file system
// object; Read and WriteTo return the contents of a regular file.
//
// It checks every rule of the format on the way. After an error every call
// returns the same error. A Reader holds one buffer of 64 KiB and no other
// resource, so it may be abandoned at any point. It is not safe for concurrent
// use.
type Reader struct {
	src  io.Reader
	seek io.Seeker // src, if it can skip contents
	m    machine

	buf    []byte // buf[r:w] is read from src and not taken yet
	r, w   int
	srcErr error // from src, due when the buffer is used up
	err    error // what every call returns from now on
}

// NewReader returns a Reader of the NAR that r begins with. It never reads past
// the end of the NAR, so what follows can be read from r after Next has returned
// io.EOF. If r is an [io.Seeker], the Reader seeks over contents that are not
// read. A source that returns 0, nil a hundred times in a row fails with
// [io.ErrNoProgress].
func NewReader(r io.Reader) *Reader {
	nr := &Reader{src: r, buf: make([]byte, readerBuffer)}
	if s, ok := r.(io.Seeker); ok {
		// Pipes have the method too, but not a position.
		if _, err := s.Seek(0, io.SeekCurrent); err == nil {
			nr.seek = s
		}
	}
	return nr
}

// Next moves to the next file system object, in the order of the NAR, and skips
// contents of the present one that were not read. It returns io.EOF after the
// last one, and only if the NAR is complete. Bytes that are not a NAR are a
// [*FormatError]; errors of the source are wrapped.
func (r *Reader) Next() (*Header, error) {
	if err := r.advance(); err != nil {
		return nil, err
	}
	h := r.m.header()
	return &h, nil
}

// advance moves to the next node and leaves it in r.m.
func (r *Reader) advance() error {
	r.skip()
	for r.err == nil {
		n, ev, err := r.m.step(r.buf[r.r:r.w])
		r.r += n
		switch {
		case err != nil:
			r.err = err
		case ev == evNode:
			return nil
		case ev == evEnd:
			r.err = io.EOF
			if r.srcErr != nil && r.srcErr != io.EOF {
				r.err = r.sourceError(r.srcErr)
			}
		case n == 0:
			r.err = r.fill(r.m.need)
		}
	}
	return r.err
}

// Read reads the contents of the present file. It returns io.EOF at their end,
// and if the present object is not a regular file.
func (r *Reader) Read(p []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case r.m.left == 0:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	if r.r == r.w {
		// Straight into p, except the end of the contents, which comes with the
		// tokens after it.
		if n := min(int64(len(p)), r.m.left); n >= readerBuffer/2 {
			return r.readSource(p[:n])
		}
		if r.err = r.fill(1); r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.contents())
	r.takeBuffered(n)
	return n, nil
}

// WriteTo writes the rest of the contents of the present file to w. If the
// source is an *os.File and w an [io.ReaderFrom], w reads from the file itself.
// An error of w does not stop the Reader: Next continues after the contents.
func (r *Reader) WriteTo(w io.Writer) (n int64, err error) {
	if r.err != nil && r.err != io.EOF {
		return 0, r.err
	}
	for r.m.left > 0 {
		if r.r == r.w {
			if f, ok := r.src.(*os.File); ok && r.m.left > readerBuffer {
				if rf, ok := w.(io.ReaderFrom); ok {
					k, err := r.handOver(f, rf)
					return n + k, err
				}
			}
			if r.err = r.fill(1); r.err != nil {
				return n, r.err
			}
		}
		b := r.contents()
		k, err := w.Write(b)
		k = max(0, min(k, len(b)))
		r.takeBuffered(k)
		n += int64(k)
		if err == nil && k < len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// handOver lets w read the rest of the contents from f.
func (r *Reader) handOver(f *os.File, w io.ReaderFrom) (int64, error) {
	lr := &io.LimitedReader{R: f, N: r.m.left}
	n, err := w.ReadFrom(lr)
	r.m.take(r.m.left - lr.N)
	if err == nil && lr.N > 0 {
		r.err = r.m.truncated(r.m.off)
		err = r.err
	}
	return n, err
}

// contents returns the part of the buffer that belongs to the present file.
func (r *Reader) contents() []byte {
	b := r.buf[r.r:r.w]
	return b[:min(int64(len(b)), r.m.left)]
}

func (r *Reader) takeBuffered(n int) {
	r.r += n
	r.m.take(int64(n))
}

// skip passes over the rest of the contents.
func (r *Reader) skip() {
	for r.m.left > 0 && r.err == nil {
		switch {
		case r.r < r.w:
			r.takeBuffered(len(r.contents()))
		case r.m.left > seekFrom && r.pass():
		default:
			r.err = r.fill(1)
		}
	}
}

// pass seeks over the contents, if the source can. If the source is too short,
// the next token is missing.
func (r *Reader) pass() bool {
	if r.seek == nil {
		return false
	}
	if _, err := r.seek.Seek(r.m.left, io.SeekCurrent); err != nil {
		r.seek = nil
		return false
	}
	r.m.take(r.m.left)
	return true
}

// seekFrom is the number of bytes above which a seek is faster than a read.
const seekFrom = 4 << 10

// fill reads until the buffer holds need bytes, and more if the NAR is sure to
// have them.
func (r *Reader) fill(need int) error {
	have := copy(r.buf, r.buf[r.r:r.w])
	r.r, r.w = 0, have
	want := min(r.remaining(), int64(len(r.buf)))
	end := max(int(want), need)
	for r.w < need {
		n, err := r.readSourceOnce(r.buf[r.w:end])
		r.w += n
		if err != nil && r.w < need {
			if err == io.EOF {
				return r.m.truncated(r.m.off + int64(r.w))
			}
			return r.sourceError(err)
		}
	}
	return nil
}

// remaining returns the smallest number of bytes to the end of the NAR.
func (r *Reader) remaining() int64 {
	n := r.m.least()
	if r.m.left > 0 {
		n += int64(padding(r.m.node.Size))
		if r.m.left < readerBuffer { // else n may overflow
			return n + r.m.left
		}
		return r.m.left
	}
	return n
}

// readSource reads contents straight into p.
func (r *Reader) readSource(p []byte) (int, error) {
	n, err := r.readSourceOnce(p)
	r.m.take(int64(n))
	if n > 0 {
		return n, nil
	}
	if err == io.EOF {
		r.err = r.m.truncated(r.m.off)
	} else {
		r.err = r.sourceError(err)
	}
	return 0, r.err
}

// readSourceOnce reads at least one byte or fails.
func (r *Reader) readSourceOnce(p []byte) (int, error) {
	if r.srcErr != nil {
		return 0, r.srcErr
	}
	for range maxEmptyReads {
		n, err := r.src.Read(p)
		if n < 0 || n > len(p) {
			return 0, errBadCount
		}
		r.srcErr = err
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func (r *Reader) sourceError(err error) error {
	where := ""
	if p := r.m.trail.path(); len(p) > 0 {
		where = " in " + quote(string(p))
	}
	return fmt.Errorf("nar: reading at offset %d%s: %w", r.m.off, where, err)
}
