package serve

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// errClientGone wraps failures to write to the client.
var errClientGone = errors.New("the client takes no more")

// response is a ResponseWriter that counts, and that gives up on a client that
// takes nothing for a time.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration

	status    int
	bytes     int64
	firstByte time.Time
	extended  time.Time // when the deadline was moved
	user      string    // who asked, for the access log
}

func newResponse(w http.ResponseWriter, stall time.Duration) *response {
	return &response{ResponseWriter: w, control: http.NewResponseController(w), stall: stall}
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		w.extend()
	}
	w.ResponseWriter.WriteHeader(status)
}

// extend moves the deadline, unless that was done a moment ago. Not every
// ResponseWriter has one.
func (w *response) extend() {
	now := time.Now()
	if now.Sub(w.extended) < w.stall/16 {
		return
	}
	w.extended = now
	_ = w.control.SetWriteDeadline(now.Add(w.stall))
}

func (w *response) begin() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.firstByte.IsZero() {
		w.firstByte = time.Now()
	}
	w.extend()
}

func (w *response) Write(p []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	if err != nil {
		err = fmt.Errorf("%w: %w", errClientGone, err)
	}
	return n, err
}

// sendPiece is how much the kernel moves from a file to a client before the
// deadline is moved.
const sendPiece = 1 << 20

// ReadFrom lets the kernel move the bytes of a file.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	direct, ok2 := w.ResponseWriter.(io.ReaderFrom)
	if !ok || !ok2 {
		return io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, 32<<10))
	}
	var total int64
	for limited.N > 0 {
		w.begin()
		want := min(limited.N, sendPiece)
		n, err := direct.ReadFrom(&io.LimitedReader{R: limited.R, N: want})
		total += n
		limited.N -= n
		w.bytes += n
		if err != nil || n < want {
			return total, err
		}
	}
	return total, nil
}

// buffers are what bodies are copied through.
var buffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// copyTo copies a body to a client.
func (s *Server) copyTo(w io.Writer, body io.Reader) (int64, error) {
	if direct, ok := body.(io.WriterTo); ok {
		return direct.WriteTo(w)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{body}, *buf)
}
