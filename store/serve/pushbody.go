package serve

import (
	"io"
	"net/http"
	"time"
)

// pushBody is the body of a PUT: at most so many bytes, from a client that may
// stall for a time only.
type pushBody struct {
	r    io.Reader
	w    *response
	left int64
	n    int64
	err  error // of the connection
}

func (b *pushBody) Read(p []byte) (int, error) {
	_ = b.w.control.SetReadDeadline(time.Now().Add(b.w.stall))
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.left -= int64(n); b.left < 0 {
		return 0, refusef(http.StatusRequestEntityTooLarge, "the body is larger than what is taken")
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
