package store

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// A NAR is looked at by several stations at once: hashes, the structure check,
// a codec. A fan hands the bytes written to it to all of them, each in a
// goroutine of its own, so that the slowest station sets the pace and not the
// sum of all.
const (
	chunkSize  = 256 << 10
	chunkQueue = 3 // chunks that wait for one reader

	// fanMemory is what one fan holds at the most, whatever the number of its
	// readers: they share their chunks.
	fanMemory = (chunkQueue + 3) * chunkSize
)

var errReaderGone = errors.New("store: the fan's reader has left")

type chunk struct {
	data []byte
	refs atomic.Int32
}

var chunkPool = sync.Pool{New: func() any { return &chunk{data: make([]byte, 0, chunkSize)} }}

func newChunk() *chunk {
	c := chunkPool.Get().(*chunk)
	c.data = c.data[:0]
	return c
}

func (c *chunk) room() []byte { return c.data[len(c.data):cap(c.data)] }

func (c *chunk) extend(n int) { c.data = c.data[:len(c.data)+n] }

func (c *chunk) release() {
	if c.refs.Add(-1) == 0 {
		chunkPool.Put(c)
	}
}

// fan is a writer with any number of readers. One goroutine writes and closes;
// each reader belongs to one goroutine.
type fan struct {
	readers []*fanReader
	cur     *chunk

	once sync.Once
	done chan struct{} // closed when either side fails
	err  error         // why, valid once done is closed
}

func newFan(readers int) *fan {
	f := &fan{done: make(chan struct{})}
	for range readers {
		f.readers = append(f.readers, &fanReader{fan: f, in: make(chan *chunk, chunkQueue), gone: make(chan struct{})})
	}
	return f
}

// fail ends both sides with an error. The first one counts.
func (f *fan) fail(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.done)
	})
}

func (f *fan) failure() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// Write copies p into chunks and hands on those that are full.
func (f *fan) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if f.cur == nil {
			f.cur = newChunk()
		}
		k := copy(f.cur.room(), p[n:])
		f.cur.extend(k)
		n += k
		if len(f.cur.room()) == 0 {
			if err := f.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, f.failure()
}

// ReadFrom reads straight into the chunks.
func (f *fan) ReadFrom(r io.Reader) (total int64, err error) {
	for {
		if f.cur == nil {
			f.cur = newChunk()
		}
		n, err := r.Read(f.cur.room())
		f.cur.extend(n)
		total += int64(n)
		if len(f.cur.data) > chunkSize/2 {
			if err := f.flush(); err != nil {
				return total, err
			}
		}
		if err == io.EOF {
			return total, f.failure()
		}
		if err != nil {
			return total, err
		}
	}
}

// flush hands the current chunk to every reader. On failure the chunk is left
// to the garbage collector, since some reader may hold it.
func (f *fan) flush() error {
	c := f.cur
	f.cur = nil
	if c == nil || len(c.data) == 0 {
		return f.failure()
	}
	// One reference of the fan's own keeps the chunk alive while it is handed out.
	c.refs.Store(int32(len(f.readers)) + 1)
	for _, r := range f.readers {
		select {
		case r.in <- c:
		case <-r.gone:
			c.release()
		case <-f.done:
			return f.err
		}
	}
	c.release()
	return nil
}

// Close ends the stream: readers see io.EOF behind the last byte.
func (f *fan) Close() error {
	if err := f.flush(); err != nil {
		return err
	}
	for _, r := range f.readers {
		close(r.in)
	}
	return nil
}

// fanReader is one of the readers of a fan.
type fanReader struct {
	fan  *fan
	in   chan *chunk
	cur  *chunk
	pos  int
	gone chan struct{}
	left bool
}

// next makes the current chunk one that has unread bytes.
func (r *fanReader) next() error {
	if r.left {
		return errReaderGone
	}
	for r.cur == nil || r.pos == len(r.cur.data) {
		if r.cur != nil {
			r.cur.release()
			r.cur, r.pos = nil, 0
		}
		select {
		case <-r.fan.done:
			return r.fan.err
		default:
		}
		select {
		case c, ok := <-r.in:
			if !ok {
				return io.EOF
			}
			r.cur = c
		case <-r.fan.done:
			return r.fan.err
		}
	}
	return nil
}

func (r *fanReader) Read(p []byte) (int, error) {
	if err := r.next(); err != nil {
		return 0, err
	}
	n := copy(p, r.cur.data[r.pos:])
	r.pos += n
	return n, nil
}

// WriteTo hands the chunks on without copying them.
func (r *fanReader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if err := r.next(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
		n, err := w.Write(r.cur.data[r.pos:])
		r.pos += n
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// leave lets the writer go on without this reader. It may be called twice.
func (r *fanReader) leave() {
	if r.left {
		return
	}
	r.left = true
	close(r.gone)
	if r.cur != nil {
		r.cur.release()
		r.cur = nil
	}
}

// spread runs produce with a writer whose bytes every consumer reads, each in
// a goroutine of its own. The first failure of any of them ends all; a
// consumer that returns early without one no longer receives. spread returns
// when all have returned.
func spread(ctx context.Context, produce func(w io.Writer) error, consumers ...func(r io.Reader) error) error {
	f := newFan(len(consumers))
	defer context.AfterFunc(ctx, func() { f.fail(context.Cause(ctx)) })()

	var wg sync.WaitGroup
	for i, consume := range consumers {
		wg.Go(func() {
			r := f.readers[i]
			defer r.leave()
			if err := consume(r); err != nil {
				f.fail(err)
			}
		})
	}
	err := produce(f)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		f.fail(err)
	}
	wg.Wait()
	return f.failure()
}
