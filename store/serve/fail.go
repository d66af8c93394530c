package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
)

// retryAfter is when a client tries again what failed.
const retryAfter = 5 * time.Second

// unavailable is an error that the client meets with 503.
var errUnavailable = errors.New("unavailable")

// refuse answers with a status and a text.
func (s *Server) refuse(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	body := strings.ToValidUTF8(text, "\ufffd") + "\n"
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// missing answers 404.
func (s *Server) missing(w http.ResponseWriter) { s.refuse(w, http.StatusNotFound, "not found") }

// fail answers a read that failed. Only what is known to be absent is 404.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case isAbsent(err):
		s.missing(w)
		return
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client is gone
	}
	s.log.ErrorContext(r.Context(), "storage failed", "path", r.URL.Path, "error", err)
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	s.refuse(w, http.StatusServiceUnavailable, "the storage of this cache does not answer as it should; try again later")
}

// isAbsent reports whether an error means that an object does not exist.
func isAbsent(err error) bool {
	return errors.Is(err, store.ErrNotFound) && !errors.Is(err, blob.ErrNoSuchBucket) ||
		errors.Is(err, blob.ErrInvalidKey)
}

// ended reports whether an error is that of a context.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
