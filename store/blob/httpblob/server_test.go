package httpblob_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/httpblob"
)

// webServer is a web server that stores what is PUT, below /cache/. Before
// hooks may answer in its place.
type webServer struct {
	*httptest.Server

	noRanges bool // as servers that answer 200 to every GET

	mu       sync.Mutex
	objects  map[string]page
	requests []*http.Request
	hook     func(n int, w http.ResponseWriter, r *http.Request) (done bool)
}

type page struct {
	body   []byte
	header http.Header
}

func newWebServer(t *testing.T) *webServer {
	s := &webServer{objects: make(map[string]page)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// open opens the bucket on the server, with retries that do not wait.
func (s *webServer) open(t *testing.T, change ...func(*httpblob.Options)) *httpblob.Bucket {
	t.Helper()
	opts := httpblob.Options{Retry: blob.Retry{Delay: time.Millisecond, RateLimitedDelay: time.Millisecond, MaxDelay: 5 * time.Millisecond}}
	for _, c := range change {
		c(&opts)
	}
	b, err := httpblob.Open(s.URL+"/cache", opts)
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

// seen returns the requests so far.
func (s *webServer) seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func (s *webServer) store(key string, body []byte, header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := header.Clone()
	if h == nil {
		h = make(http.Header)
	}
	h.Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(body)))
	h.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	s.objects[key] = page{body, h}
}

func (s *webServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := len(s.requests)
	s.requests = append(s.requests, r.Clone(context.Background()))
	hook := s.hook
	s.mu.Unlock()
	if hook != nil && hook(n, w, r) {
		return
	}
	key, ok := strings.CutPrefix(r.URL.Path, "/cache/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.get(w, r, key)
	case http.MethodPut:
		s.put(w, r, key)
	case http.MethodDelete:
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.objects[key]; !ok {
			http.NotFound(w, r)
			return
		}
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *webServer) get(w http.ResponseWriter, r *http.Request, key string) {
	s.mu.Lock()
	p, ok := s.objects[key]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	for name, values := range p.header {
		w.Header()[name] = values
	}
	if s.noRanges {
		w.Header().Set("Content-Length", strconv.Itoa(len(p.body)))
		if r.Method == http.MethodGet {
			w.Write(p.body)
		}
		return
	}
	if p.header.Get("Content-Encoding") != "" && r.Method == http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(p.body))) // which ServeContent leaves out
	}
	http.ServeContent(&lengthWriter{w, len(p.body)}, r, "", time.Time{}, bytes.NewReader(p.body))
}

// lengthWriter gives whole answers a Content-Length also where they have a
// Content-Encoding, as file servers with packed files do.
type lengthWriter struct {
	http.ResponseWriter
	size int
}

func (w *lengthWriter) WriteHeader(status int) {
	if status == http.StatusOK {
		w.Header().Set("Content-Length", strconv.Itoa(w.size))
	}
	w.ResponseWriter.WriteHeader(status)
}

func (s *webServer) put(w http.ResponseWriter, r *http.Request, key string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	old, exists := s.objects[key]
	match := r.Header.Get("If-Match")
	if exists && r.Header.Get("If-None-Match") == "*" || match != "" && (!exists || match != old.header.Get("ETag")) {
		s.mu.Unlock()
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	// Under one lock with the test above.
	h := make(http.Header)
	for _, name := range []string{"Content-Type", "Content-Encoding", "Cache-Control"} {
		if v := r.Header.Get(name); v != "" {
			h.Set(name, v)
		}
	}
	h.Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(body)))
	h.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	s.objects[key] = page{body, h}
	s.mu.Unlock()
	w.Header().Set("ETag", h.Get("ETag"))
	w.WriteHeader(http.StatusCreated)
}
