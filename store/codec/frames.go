package codec

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// A frame is a piece of the input, compressed into a complete stream of its
// format; a sequence of such streams decodes to the whole. The formats call it
// frame (zstd, lz4), member (gzip, lzip) or stream (xz).

// frameFormat describes the frames of a format.
type frameFormat struct {
	size   int // bytes of input in a frame; the last has less
	encode encodeFunc

	// index appends an index of several frames, which readers that do not know
	// it skip. It is nil for formats without one.
	index func(dst []byte, frames []piece) []byte
}

// encodeFunc appends a frame of src to dst. Once stop is set, the frame is no
// longer needed and encodeFunc may return errStopped.
type encodeFunc func(dst, src []byte, stop *atomic.Bool) ([]byte, error)

var errStopped = errors.New("stopped")

// encodeSlots bounds the frames that the whole process compresses at a time:
// more than one per core only costs memory, up to 100 MB each.
var encodeSlots = make(chan struct{}, runtime.GOMAXPROCS(0))

// encodeFrame compresses src into a buffer of its own.
func (f frameFormat) encodeFrame(src []byte, stop *atomic.Bool) ([]byte, error) {
	encodeSlots <- struct{}{}
	defer func() { <-encodeSlots }()
	if stop.Load() {
		return nil, errStopped
	}
	return f.encode(getBuffer(len(src)), src, stop)
}

// encodeStream returns an encodeFunc that makes a writer for every frame.
func encodeStream(open func(w io.Writer, size int) (io.WriteCloser, error)) encodeFunc {
	return func(dst, src []byte, stop *atomic.Bool) ([]byte, error) {
		buf := bytes.NewBuffer(dst)
		enc, err := open(buf, len(src))
		if err != nil {
			return nil, err
		}
		for piece := range slices.Chunk(src, smallBuffer) {
			if stop.Load() {
				return nil, errStopped
			}
			if _, err := enc.Write(piece); err != nil {
				return nil, err
			}
		}
		if err := enc.Close(); err != nil {
			return nil, err
		}
		return buf.Bytes(), nil
	}
}

// spareFrames is the number of frames in flight beyond one per worker. A worker
// that has finished a frame finds the next one filled, and does not wait until
// older ones are written.
const spareFrames = 2

// frameWriter compresses frames, on several goroutines if it has workers, and
// writes them in order. Only the caller's goroutine writes, so the goroutines of
// an abandoned frameWriter end.
type frameWriter struct {
	w       io.Writer
	format  frameFormat
	buf     []byte        // the frame that is being filled
	any     bool          // a frame was begun, so Close writes no empty one
	workers chan struct{} // one element for each busy worker; nil: compress in Write
	queue   chan job      // frames that no worker has begun
	pending []chan frame  // results of the frames in flight, the oldest first
	stop    atomic.Bool   // frames in flight are no longer wanted
	written []piece       // the frames, for the index
}

// job is a frame to be compressed.
type job struct {
	src  []byte
	done chan frame
}

// frame is a compressed frame, or why there is none.
type frame struct {
	data []byte
	size int // of what it decodes to
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
		f.queue = make(chan job, workers+spareFrames+1)
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
		data, err := f.format.encodeFrame(src, &f.stop)
		f.buf = src[:0]
		return f.write(frame{data, len(src), err})
	}
	f.buf = nil
	done := make(chan frame, 1)
	f.pending = append(f.pending, done)
	f.queue <- job{src, done}
	go f.work()
	return f.drain(cap(f.workers) + spareFrames)
}

// work compresses the oldest waiting frame, which may not be the one that it was
// started for: the scheduler often runs the latest goroutine first.
func (f *frameWriter) work() {
	f.workers <- struct{}{}
	j := <-f.queue
	data, err := f.format.encodeFrame(j.src, &f.stop)
	<-f.workers
	size := len(j.src)
	putBuffer(j.src)
	j.done <- frame{data, size, err}
}

// Cut ends the frame that is being filled, so that the next byte begins one.
func (f *frameWriter) Cut() error {
	if len(f.buf) == 0 {
		return nil
	}
	if err := f.flush(); err != nil {
		return f.fail(err)
	}
	return nil
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
	if f.format.index != nil {
		f.written = append(f.written, piece{n: int64(len(fr.data)), size: int64(fr.size)})
	}
	_, err := f.w.Write(fr.data)
	putBuffer(fr.data)
	return err
}

// fail stops the frames in flight and waits for their goroutines.
func (f *frameWriter) fail(err error) error {
	f.stop.Store(true)
	for _, done := range f.pending {
		putBuffer((<-done).data)
	}
	f.pending = nil
	return err
}

// Close writes the remaining frames. An empty input becomes one empty frame.
func (f *frameWriter) Close() error {
	var err error
	if len(f.buf) > 0 || !f.any {
		err = f.flush()
	}
	if err == nil {
		err = f.drain(0)
	}
	if err == nil && len(f.written) > 1 {
		_, err = f.w.Write(f.format.index(nil, f.written))
	}
	putBuffer(f.buf)
	f.buf = nil
	return f.fail(err)
}

// Buffers have two sizes: one is enough for most store objects, the other for a
// whole frame of input or output, with room for data that does not compress.
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
	case cap(b) > largeBuffer+bufferSlack: // frames of this size are rare and not kept
	case cap(b) >= largeBuffer:
		largeBuffers.Put(&b)
	case cap(b) >= smallBuffer:
		smallBuffers.Put(&b)
	}
}
