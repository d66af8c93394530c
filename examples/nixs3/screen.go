package main

import (
	"io"
	"sync"

	"github.com/schollz/progressbar/v3"
)

// screen is a terminal with a bar in its last line. Whatever else is written
// erases the bar first; the next update draws it again.
type screen struct {
	w io.Writer

	mu    sync.Mutex
	drawn *progressbar.ProgressBar // or nil
}

// newScreen returns the screen that standard error is.
func newScreen(w io.Writer) *screen {
	if s, ok := w.(*screen); ok {
		return s
	}
	return &screen{w: w}
}

// Write writes a message.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	return s.w.Write(p)
}

// bar returns a bar that counts to a total still to come. update draws it, and
// end erases it.
func (s *screen) bar(opts ...progressbar.Option) (update func(total, done int64, description string), end func()) {
	bar := progressbar.NewOptions64(1, append(opts,
		progressbar.OptionSetWriter(s.w),
		// Short of the terminal's width, so that a ^C after it does not wrap.
		progressbar.OptionSetWidth(16),
		progressbar.OptionClearOnFinish(),
	)...)
	update = func(total, done int64, description string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.drawn = bar
		bar.ChangeMax64(total)
		bar.Describe(description)
		_ = bar.Set64(done)
	}
	end = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.erase()
		_ = bar.Exit()
	}
	return update, end
}

// erase leaves the cursor at the beginning of an empty line. The lock is held.
func (s *screen) erase() {
	if s.drawn != nil {
		_ = s.drawn.Clear()
		s.drawn = nil
	}
}
