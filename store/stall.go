package store

import (
	"io"
	"time"
)

// Interrupter is implemented by readers whose blocking Read or WriteTo another
// goroutine can end.
type Interrupter interface {
	// Interrupt makes a blocked call and all later ones return the error.
	Interrupt(err error)
}

// watchSource returns a reader that calls stalled, in a separate goroutine, when
// r has delivered nothing for the limit. Time spent in the destination does not
// count. The reader has a WriteTo if r has one.
func watchSource(r io.Reader, limit time.Duration, stalled func()) io.Reader {
	timer := time.AfterFunc(limit, stalled)
	timer.Stop()
	w := watchedSource{r, timer, limit}
	if wt, ok := r.(io.WriterTo); ok {
		return &watchedWriterTo{w, wt}
	}
	return &w
}

type watchedSource struct {
	r     io.Reader
	timer *time.Timer
	limit time.Duration
}

func (s *watchedSource) Read(p []byte) (int, error) {
	s.timer.Reset(s.limit)
	defer s.timer.Stop()
	return s.r.Read(p)
}

type watchedWriterTo struct {
	watchedSource
	wt io.WriterTo
}

func (s *watchedWriterTo) WriteTo(w io.Writer) (int64, error) {
	s.timer.Reset(s.limit)
	defer s.timer.Stop()
	return s.wt.WriteTo(&watchedWriter{w, &s.watchedSource})
}

// watchedWriter stops the clock while the destination writes.
type watchedWriter struct {
	w io.Writer
	s *watchedSource
}

func (d *watchedWriter) Write(p []byte) (int, error) {
	d.s.timer.Stop()
	defer d.s.timer.Reset(d.s.limit)
	return d.w.Write(p)
}
