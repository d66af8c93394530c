package nar

import (
	"io"
	"sync"
	"sync/atomic"
)

const (
	batchSize     = 256 << 10
	maxSmallFile  = batchSize / 4 // size up to which a file goes into a batch
	maxBatchFiles = 256           // in one batch of tiny files
)

// batch is small files with their contents.
type batch struct {
	buf   []byte
	files []smallFile
}

type smallFile struct {
	dir        *newDir
	name       string
	executable bool
	end        int // of its contents in the batch
}

func newBatch() *batch { return &batch{buf: make([]byte, 0, batchSize)} }

func (b *batch) full(size int) bool {
	return cap(b.buf)-len(b.buf) < size || len(b.files) == maxBatchFiles
}

// writers make small files while another goroutine reads the NAR. Without
// workers, and for a NAR that fits into one batch, the reading goroutine makes
// them.
type writers struct {
	*options
	batch *batch // being filled

	todo chan *batch // nil before the workers are started
	free chan *batch
	wg   sync.WaitGroup

	made madeLog

	failed atomic.Bool
	once   sync.Once
	err    error // the first, set once
}

func newWriters(o *options) *writers { return &writers{options: o, batch: newBatch()} }

// fail records an error. Nothing more is made after it.
func (w *writers) fail(err error) {
	w.once.Do(func() { w.err = err })
	w.failed.Store(true)
}

// add puts the present file of the reader into the batch.
func (w *writers) add(dir *newDir, name string, r *Reader) error {
	size := int(r.m.node.Size)
	if w.batch.full(size) {
		w.send()
	}
	b := w.batch
	begin, end := len(b.buf), len(b.buf)+size
	if _, err := io.ReadFull(r, b.buf[begin:end]); err != nil {
		return err
	}
	b.buf = b.buf[:end]
	dir.pending.Add(1)
	b.files = append(b.files, smallFile{dir, name, r.m.node.Executable, end})
	return nil
}

// send hands the batch to a worker and continues with an empty one.
func (w *writers) send() {
	if w.workers == 0 {
		w.write(w.batch)
		return
	}
	if w.todo == nil {
		w.start()
	}
	w.todo <- w.batch
	w.batch = <-w.free
}

func (w *writers) start() {
	w.todo = make(chan *batch)
	w.free = make(chan *batch, w.workers+1)
	for range w.workers {
		w.free <- newBatch()
		w.wg.Go(func() {
			for b := range w.todo {
				w.write(b)
				w.free <- b
			}
		})
	}
}

// close makes the files that are left in the batch, waits for the workers and
// returns the first error.
func (w *writers) close() error {
	w.write(w.batch)
	if w.todo != nil {
		close(w.todo)
		w.wg.Wait()
	}
	return w.err
}

// write makes the files of a batch and empties it.
func (w *writers) write(b *batch) {
	begin := 0
	for _, s := range b.files {
		if !w.failed.Load() {
			if err := w.writeFile(s, b.buf[begin:s.end]); err != nil {
				w.fail(err)
			}
		}
		begin = s.end
		s.dir.release()
	}
	clear(b.files) // of directories
	b.buf, b.files = b.buf[:0], b.files[:0]
}
