package codec

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// FormatError is returned for corrupt compressed data.
type FormatError struct {
	Codec  string // name of the codec
	Offset int64  // bytes of compressed data that were read before the fault showed
	Err    error  // io.ErrUnexpectedEOF where the data ends too early
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: after %d bytes of compressed data: %v", e.Codec, e.Offset, e.Err)
}

// Unwrap returns Err.
func (e *FormatError) Unwrap() error { return e.Err }

var errTrailing = errors.New("data after the end of the compressed stream")

// guardReader makes a codec's readers keep the promises of NewReader.
// Decompression libraries keep them only in part: in some case, most take an
// error of the source for the end of the data, or accept data after that end.
func guardReader(name string, open func(io.Reader, ReaderOptions) (io.ReadCloser, error)) func(io.Reader, ReaderOptions) (io.ReadCloser, error) {
	return func(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
		src, ok := r.(*source)
		if !ok {
			src = newSource(r)
		}
		dec, err := open(src.Reader, o)
		if err != nil {
			g := reader{codec: name, src: src}
			err = g.explain(noEOF(err))
			src.release()
			return nil, err
		}
		return &reader{codec: name, src: src, dec: dec, max: o.MaxSize}, nil
	}
}

// reader is what NewReader returns.
type reader struct {
	codec string
	src   *source
	dec   io.ReadCloser
	max   int64 // greatest number of decompressed bytes; 0: any number
	n     int64 // bytes decompressed
	err   error // the first error; final
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.decode(p)
	r.n += int64(n)
	if r.max > 0 && r.n > r.max {
		n -= int(r.n - r.max)
		r.err = fmt.Errorf("%s: %w: more than %d bytes", r.codec, ErrTooLarge, r.max)
		return n, r.err
	}
	if err != nil {
		r.err = r.explain(err)
	}
	return n, r.err
}

// decode reads from the decoder. A panic of the decoder counts as corrupt data:
// it is a case that the decoder's author did not foresee.
func (r *reader) decode(p []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			r.dec = nil // its state does not allow another use
			n, err = 0, fmt.Errorf("decoder failed: %v", v)
		}
	}()
	return r.dec.Read(p)
}

// explain turns an error of the decoder into what Read returns.
func (r *reader) explain(err error) error {
	if err == io.EOF {
		switch _, peekErr := r.src.Peek(1); {
		case peekErr == nil:
			err = errTrailing
		case r.src.raw.n == 0 && r.codec != None:
			err = io.ErrUnexpectedEOF
		}
	}
	if r.src.raw.failed() {
		return r.src.raw.err
	}
	if err == io.EOF {
		return err
	}
	return &FormatError{Codec: r.codec, Offset: r.src.offset(), Err: err}
}

// Close releases the decoder and its buffers.
func (r *reader) Close() error {
	if r.src == nil {
		return nil
	}
	var err error
	if r.dec != nil {
		err = r.dec.Close()
	}
	r.src.release()
	r.src, r.dec = nil, nil
	r.err = fs.ErrClosed
	return err
}

// source is a buffered reader that records how far it was read and which error
// ended it. Codecs get the *bufio.Reader, for which some have fast paths.
type source struct {
	*bufio.Reader
	raw rawSource
}

type rawSource struct {
	r   io.Reader
	n   int64 // bytes read
	err error // what ended it; r is not read again
}

func (s *rawSource) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	s.err = err
	return n, err
}

// failed reports whether an error other than the end of the data ended it.
func (s *rawSource) failed() bool { return s.err != nil && s.err != io.EOF }

const sourceBuffer = 32 << 10

var sourceBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, sourceBuffer) }}

func newSource(r io.Reader) *source {
	s := &source{raw: rawSource{r: r}}
	s.Reader = sourceBuffers.Get().(*bufio.Reader)
	s.Reader.Reset(&s.raw)
	return s
}

// offset is the number of bytes that were taken out of the buffer.
func (s *source) offset() int64 { return s.raw.n - int64(s.Buffered()) }

func (s *source) release() {
	s.Reader.Reset(nil)
	sourceBuffers.Put(s.Reader)
	s.Reader = nil
}

// noEOF returns err, or io.ErrUnexpectedEOF for an io.EOF where data must
// follow.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// pooled is a decoder that Close returns to its pool.
type pooled struct {
	io.Reader
	release func()
}

func (p pooled) Close() error {
	p.release()
	return nil
}
