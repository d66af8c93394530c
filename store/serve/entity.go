package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"example.com/nixs3/store/layout"
)

// entity is what a key holds, as a client gets it.
type entity struct {
	kind            layout.Kind
	contentType     string
	contentEncoding string
	varies          bool // by Accept-Encoding
	etag            string
	modTime         time.Time
	size            int64

	// open returns a part. It is called at most once.
	open func(ctx context.Context, part byteRange) (io.ReadCloser, error)

	close func() // if not nil, called when the answer is done
}

// bytesEntity is an entity that is in memory.
func bytesEntity(kind layout.Kind, data []byte, modTime time.Time) *entity {
	return &entity{
		kind: kind, contentType: kind.ContentType(), etag: contentETag(data), modTime: modTime, size: int64(len(data)),
		open: func(_ context.Context, part byteRange) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data[part.offset : part.offset+part.length])), nil
		},
	}
}

// cacheControl is how long clients and proxies may keep an entity. An archive's
// key never gets other contents; narinfos may get signatures.
func (s *Server) cacheControl(kind layout.Kind) string {
	visibility := "public"
	if !s.auth.anonymous().Has(AccessRead) {
		visibility = "private"
	}
	switch kind {
	case layout.Archive, layout.Index:
		return visibility + ", max-age=31536000, immutable"
	case layout.Log:
		return visibility + ", max-age=3600"
	}
	return visibility + ", max-age=60"
}

// send answers a GET or HEAD with an entity.
func (s *Server) send(w http.ResponseWriter, r *http.Request, e *entity) {
	h := w.Header()
	h.Set("ETag", e.etag)
	h.Set("Cache-Control", s.cacheControl(e.kind))
	if e.varies {
		h.Add("Vary", "Accept-Encoding")
	}
	if !e.modTime.IsZero() {
		h.Set("Last-Modified", e.modTime.UTC().Format(http.TimeFormat))
	}
	if failsPrecondition(r.Header, e.etag, e.modTime) {
		s.refuse(w, http.StatusPreconditionFailed, "the object is another one")
		return
	}
	if notModified(r.Header, e.etag, e.modTime) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	part, status := byteRange{0, e.size}, http.StatusOK
	if r.Method == http.MethodGet && rangeHolds(r.Header, e.etag, e.modTime) {
		switch selected, err := parseRange(r.Header.Get("Range"), e.size); {
		case err != nil:
			h.Set("Content-Range", "bytes */"+strconv.FormatInt(e.size, 10))
			s.refuse(w, http.StatusRequestedRangeNotSatisfiable, err.Error())
			return
		case selected != nil:
			part, status = *selected, http.StatusPartialContent
		}
	}
	var body io.ReadCloser
	if r.Method == http.MethodGet {
		var err error
		if body, err = e.open(r.Context(), part); err != nil {
			h.Del("ETag")
			h.Del("Last-Modified")
			s.fail(w, r, err)
			return
		}
		defer body.Close()
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", e.contentType)
	if e.contentEncoding != "" {
		h.Set("Content-Encoding", e.contentEncoding)
	}
	h.Set("Content-Length", strconv.FormatInt(part.length, 10))
	if status == http.StatusPartialContent {
		h.Set("Content-Range", part.contentRange(e.size))
	}
	w.WriteHeader(status)
	if body == nil {
		return
	}
	s.copyBody(w, r, body, part.length)
}

// copyBody sends the bytes of a body. One that ends early or fails breaks the
// connection, so that no client takes it for whole.
func (s *Server) copyBody(w http.ResponseWriter, r *http.Request, body io.Reader, length int64) {
	n, err := s.copyTo(w, body)
	if err == nil && n != length {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		return
	}
	if r.Context().Err() == nil && !errors.Is(err, errClientGone) {
		s.log.ErrorContext(r.Context(), "answer broken off", "path", r.URL.Path, "sent", n, "of", length, "error", err)
	}
	panic(http.ErrAbortHandler)
}
