package flow

import (
	"errors"
	"io"
	"sync"
)

// ErrReaderLeft is the error of reading from a Reader after its Leave.
var ErrReaderLeft = errors.New("read after the reader has left its stream")

// maxEmptyReads is how often in a row a source may return neither bytes nor an
// error.
const maxEmptyReads = 100

// Fan is a writer with any number of readers, which see the same bytes. The
// slowest reader sets the pace. One goroutine writes and closes; each reader
// belongs to one goroutine.
type Fan struct {
	readers []*Reader
	cur     *chunk

	once sync.Once
	done chan struct{} // closed when either side fails
	err  error         // the reason, valid after done is closed
}

// NewFan returns a fan with the number of readers.
func NewFan(readers int) *Fan {
	f := &Fan{done: make(chan struct{})}
	for range readers {
		f.readers = append(f.readers, &Reader{fan: f, in: make(chan *chunk, chunkQueue), gone: make(chan struct{})})
	}
	return f
}

// Reader returns one of the readers, counted from 0.
func (f *Fan) Reader(i int) *Reader { return f.readers[i] }

// Fail ends both sides with an error. The first call counts. It is safe for
// concurrent use.
func (f *Fan) Fail(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.done)
	})
}

// Err returns the error with which the fan has failed, or nil.
func (f *Fan) Err() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// Write copies p into chunks and hands on those that are full.
func (f *Fan) Write(p []byte) (int, error) {
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
	return n, f.Err()
}

// ReadFrom reads straight into the chunks. It looks for a failure of the fan
// before each Read, and returns io.ErrNoProgress where r keeps returning
// nothing.
func (f *Fan) ReadFrom(r io.Reader) (total int64, err error) {
	for empty := 0; ; {
		if err := f.Err(); err != nil {
			return total, err
		}
		if f.cur == nil {
			f.cur = newChunk()
		}
		n, err := r.Read(f.cur.room())
		f.cur.extend(n)
		total += int64(n)
		if len(f.cur.data) > ChunkSize/2 {
			if err := f.flush(); err != nil {
				return total, err
			}
		}
		if err == io.EOF {
			return total, f.Err()
		}
		if empty++; n > 0 {
			empty = 0
		}
		if err == nil && empty == maxEmptyReads {
			err = io.ErrNoProgress
		}
		if err != nil {
			return total, err
		}
	}
}

// flush hands the current chunk to every reader. On failure the chunk is left
// to the garbage collector, since a reader may hold it.
func (f *Fan) flush() error {
	c := f.cur
	f.cur = nil
	if c == nil || len(c.data) == 0 {
		return f.Err()
	}
	// A reference of the fan's own keeps the chunk alive while it is handed out.
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

// End hands on what was written and ends the stream of one reader, which then
// sees io.EOF. Nothing may be written after it.
func (f *Fan) End(i int) error {
	if err := f.flush(); err != nil {
		return err
	}
	close(f.readers[i].in)
	return nil
}

// Close ends the streams of all readers.
func (f *Fan) Close() error {
	for i := range f.readers {
		if err := f.End(i); err != nil {
			return err
		}
	}
	return nil
}
