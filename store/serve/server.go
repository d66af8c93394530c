package serve

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// Server is an http.Handler that answers for a cache. It is safe for concurrent
// use.
type Server struct {
	cache  *store.Cache
	bucket blob.Bucket // the cache's, with metrics
	opts   Options
	limits Limits
	auth   *Auth
	log    *slog.Logger

	small   *lru[*small]
	misses  *lru[struct{}]
	flights singleflight.Group
	metrics *metrics
	push    *receiver // nil: read-only

	inflationFree int64 // the constant, but in tests
	past          *redirector

	upstreams  []*upstream
	origins    *lru[[]*small]         // narinfos of upstreams by the key of their archive, the newest last
	originsMu  sync.Mutex             // held to change an entry of origins
	keptFiles  *lru[*narinfo.NarInfo] // stored archives of upstreams by key
	pulls      pulls
	kept       kept
	background sync.WaitGroup
	index      index

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
}

// New returns a Server for a cache. The caller keeps the cache open while the
// Server is in use, and closes the Server first.
func New(cache *store.Cache, opts Options) (*Server, error) {
	limits := opts.Limits
	limits.setDefaults()
	s := &Server{
		opts: opts, limits: limits,
		auth:   cmp.Or(opts.Auth, &Auth{Anonymous: AccessRead}),
		log:    cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)),
		small:  newLRU[*small](limits.CacheBytes),
		index:  index{making: make(chan struct{}, 1)},
		misses: newLRU[struct{}](limits.Misses),

		inflationFree: inflationFree,

		origins:   newLRU[[]*small](limits.CacheBytes),
		keptFiles: newLRU[*narinfo.NarInfo](limits.CacheBytes),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var err error
	if s.metrics, err = newMetrics(opts.Registerer); err != nil {
		return nil, err
	}
	s.bucket = blob.Intercept(cache.Bucket(), s.metrics.around)
	if s.cache, err = store.New(s.bucket, cache.Settings()); err != nil {
		return nil, err
	}
	if s.past, err = newRedirector(s.bucket, opts.Redirect); err != nil {
		return nil, err
	}
	if s.upstreams, err = newUpstreams(opts.Upstreams, cache, s.metrics); err != nil {
		return nil, err
	}
	if opts.Push != nil {
		if s.push, err = newReceiver(s, opts.Push); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close ends what the Server does in the background. The cache stays open.
func (s *Server) Close() error {
	s.cancel()
	s.background.Wait()
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	began := time.Now()
	w := newResponse(rw, s.limits.Stall)
	w.extend() // the deadline of the last request may have passed
	t := route(r.URL)
	defer func() { s.done(w, r, t.kind, began) }()
	s.answer(w, r, t)
}

func (s *Server) answer(w *response, r *http.Request, t target) {
	switch {
	case r.URL.Path == "/healthz":
		s.refuse(w, http.StatusOK, "ok")
		return
	case r.URL.Path == "/readyz":
		s.ready(w, r)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if s.allow(w, r, AccessRead) {
			s.read(w, r, t)
		}
	case http.MethodPut:
		if s.push == nil {
			w.Header().Set("Allow", "GET, HEAD")
			s.refuse(w, http.StatusMethodNotAllowed, "this cache is read-only here")
			return
		}
		if s.allow(w, r, AccessPush) {
			s.push.put(w, r, t)
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		s.refuse(w, http.StatusMethodNotAllowed, "method not allowed")
	}
}

func (s *Server) read(w http.ResponseWriter, r *http.Request, t target) {
	switch t.kind {
	case layout.CacheInfo, layout.NarInfo, layout.Realisation, layout.DebugInfo:
		s.readSmall(w, r, t)
	case layout.Archive, layout.Index:
		s.readArchive(w, r, t)
	case layout.Listing, layout.Log:
		s.readEncoded(w, r, t)
	default:
		if id, ok := buildID(r.URL.Path); ok {
			s.readDebugFile(w, r, id)
			return
		}
		if s.readPage(w, r) {
			return
		}
		s.missing(w)
	}
}

// ready reports whether the storage answers.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.limits.Request)
	defer cancel()
	if _, err := s.bucket.Head(ctx, layout.CacheInfoKey); err != nil && !isAbsent(err) {
		s.fail(w, r, err)
		return
	}
	s.refuse(w, http.StatusOK, "ready")
}

// done writes the access log and the metrics of a request.
func (s *Server) done(w *response, r *http.Request, kind layout.Kind, began time.Time) {
	s.metrics.request(kind, r.Method, w, began)
	s.log.InfoContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", w.status,
		"bytes", w.bytes, "duration", time.Since(began), "remote", r.RemoteAddr, "user", w.user, "agent", strings.ToValidUTF8(r.UserAgent(), "?"))
}
