package codec

import (
	"bytes"
	"io"
	"runtime"
	"sync"
)

// A frame is a piece of the input that is compressed by itself into a complete
// stream of its format; a sequence of such streams decodes to the whole. What
// the formats call it differs: frame (zstd, lz4), member (gzip, lzip), stream
// (xz).

// frameFormat says how a format is cut into frames.
type frameFormat struct {
	size   int // bytes of input in a frame; the last has less
	encode func(dst, src []byte) ([]byte, error)
}

// encodeSlots bounds the frames that are being compressed in the whole
// process: more than one per core only costs memory, up to 100 MB each.
var encodeSlots = make(chan struct{}, runtime.GOMAXPROCS(0))

// encodeFrame compresses src into a buffer of its own.
func (f frameFormat) encodeFrame(src []byte) ([]byte, error) {
	encodeSlots <- struct{}{}
	defer func() { <-encodeSlots }()
	return f.encode(getBuffer(len(src)), src)
}

// encodeStream appends src to dst, compressed by a writer made for it.
func encodeStream(dst, src []byte, open func(io.Writer) (io.WriteCloser, error)) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	enc, err := open(buf)
	if err != nil {
		return nil, err
	}
	if _, err := enc.Write(src); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// spareFrames is how many frames more than there are workers may be in
// flight, so that a worker finds the next one filled when it has done its
// own, and need not wait for the older ones to be written.
const spareFrames = 2

// frameWriter compresses frames, on several goroutines where it is given
// workers, and writes them in order. Only the caller's goroutine writes, so an
// abandoned frameWriter leaves nothing behind but goroutines that soon end.
type frameWriter struct {
	w       io.Writer
	format  frameFormat
	buf     []byte        // the frame that is being filled
	any     bool          // a frame was begun, so an empty one is no longer due
	workers chan struct{} // one element for each busy worker; nil: compress in Write
	pending []chan frame  // frames in flight, the oldest first
}

// frame is a compressed frame, or why there is none.
type frame struct {
	data []byte
	err  error
}

func newFrameWriter(w io.Writer, o WriterOptions, format frameFormat) io.WriteCloser {
	f := &frameWriter{w: w, format: format}
	workers := o.Workers
	if workers <= 0 {
		workers = cap(encodeSlots)
	}
	if o.Parallel && workers > 1 {
		f.workers = make(chan struct{}, workers)
	}
	return f
}

func (f *frameWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		f.reserve(len(p))
		n := min(len(p), min(cap(f.buf), f.format.size)-len(f.buf))
		f.buf = append(f.buf, p[:n]...)
		p = p[n:]
		written += n
		if len(f.buf) == f.format.size {
			if err := f.flush(); err != nil {
				return written, f.fail(err)
			}
		}
	}
	return written, nil
}

// reserve makes room for some of n more bytes. It begins with a small buffer:
// most store objects fill no frame.
func (f *frameWriter) reserve(n int) {
	if len(f.buf) < cap(f.buf) {
		return
	}
	want := len(f.buf) + n
	if f.any || want > smallBuffer {
		want = f.format.size
	}
	bigger := append(getBuffer(want), f.buf...)
	putBuffer(f.buf)
	f.buf = bigger
}

// flush hands the filled buffer to a worker, or compresses and writes it.
func (f *frameWriter) flush() error {
	src := f.buf
	f.any = true
	if f.workers == nil {
		data, err := f.format.encodeFrame(src)
		f.buf = src[:0]
		return f.write(frame{data, err})
	}
	f.buf = nil
	done := make(chan frame, 1)
	f.pending = append(f.pending, done)
	go func() {
		f.workers <- struct{}{}
		data, err := f.format.encodeFrame(src)
		<-f.workers
		putBuffer(src)
		done <- frame{data, err}
	}()
	return f.drain(cap(f.workers) + spareFrames)
}

// drain writes the oldest frames until at most n are in flight.
func (f *frameWriter) drain(n int) error {
	for len(f.pending) > n {
		oldest := <-f.pending[0]
		f.pending = f.pending[1:]
		if err := f.write(oldest); err != nil {
			return err
		}
	}
	return nil
}

func (f *frameWriter) write(fr frame) error {
	if fr.err != nil {
		return fr.err
	}
	_, err := f.w.Write(fr.data)
	putBuffer(fr.data)
	return err
}

// fail waits for the frames in flight, so that no goroutine is left.
func (f *frameWriter) fail(err error) error {
	for _, done := range f.pending {
		putBuffer((<-done).data)
	}
	f.pending = nil
	return err
}

// Close writes what is left. An empty input becomes one empty frame.
func (f *frameWriter) Close() error {
	var err error
	if len(f.buf) > 0 || !f.any {
		err = f.flush()
	}
	if err == nil {
		err = f.drain(0)
	}
	putBuffer(f.buf)
	f.buf = nil
	return f.fail(err)
}

// Buffers come in two sizes: one that is enough for most store objects, and one
// for whole frames, of input or output, with some room for what does not
// compress.
const (
	smallBuffer = 128 << 10
	largeBuffer = 4 << 20
	bufferSlack = 32 << 10
)

var smallBuffers, largeBuffers sync.Pool

// getBuffer returns an empty buffer with room for n bytes and a little more.
func getBuffer(n int) []byte {
	pool, size := &smallBuffers, smallBuffer
	if n > smallBuffer {
		pool, size = &largeBuffers, max(n, largeBuffer)
	}
	if b, ok := pool.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:0]
	}
	return make([]byte, 0, size+bufferSlack)
}

func putBuffer(b []byte) {
	b = b[:0]
	switch {
	case cap(b) > largeBuffer+bufferSlack: // frames of this size are rare; do not keep them
	case cap(b) >= largeBuffer:
		largeBuffers.Put(&b)
	case cap(b) >= smallBuffer:
		smallBuffers.Put(&b)
	}
}
