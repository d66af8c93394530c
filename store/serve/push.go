package serve

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// Push says how paths are taken in. Every claim is checked whatever it says: an
// archive has the hash that its key names and is a NAR, a narinfo has its
// archive and its references.
type Push struct {
	// TrustedKeys, when there are any, must have signed what is pushed. Paths
	// whose content address gives their name need no signature.
	TrustedKeys narinfo.TrustedKeys

	// Signers sign what is pushed, besides the cache's own.
	Signers []narinfo.Signer
}

// receiver takes in what is pushed.
type receiver struct {
	*Server
	keys     narinfo.TrustedKeys
	intake   *store.Cache // the same cache, with keys and signers of Push
	places   *semaphore.Weighted
	facts    *lru[*fact]
	listings *lru[struct{}] // hash parts whose pusher wants a listing
	links    pendingLinks
}

// Bounds of what a receiver remembers.
const (
	factBytes     = 64 << 20
	wantedEntries = 100_000
)

func newReceiver(s *Server, p *Push) (*receiver, error) {
	settings := s.cache.Settings()
	settings.TrustedKeys = p.TrustedKeys
	settings.Trusted = false
	settings.Signers = append(settings.Signers[:len(settings.Signers):len(settings.Signers)], p.Signers...)
	intake, err := store.New(s.bucket, settings)
	if err != nil {
		return nil, err
	}
	if _, ok := blob.As[*fileblob.Bucket](s.bucket); ok {
		// A directory comes to be with its first object. Before that, reading
		// would fail.
		staged, err := intake.Stage(s.ctx, 0)
		if err != nil {
			return nil, err
		}
		staged.Close()
	}
	return &receiver{
		Server: s, keys: p.TrustedKeys, intake: intake,
		places:   semaphore.NewWeighted(int64(s.limits.Pushes)),
		facts:    newLRU[*fact](factBytes),
		listings: newLRU[struct{}](wantedEntries),
	}, nil
}

// refusal is an answer to a push that cannot be taken in.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

func refusef(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// put answers a PUT.
func (p *receiver) put(w *response, r *http.Request, t target) {
	body := &pushBody{r: r.Body, w: w}
	created, err := p.receive(r, t, body)
	switch {
	case err == nil:
		_ = w.control.SetReadDeadline(time.Time{})
	case body.err != nil:
		_ = w.control.SetReadDeadline(time.Now())
	default: // net/http reads what is left of the body
		_ = w.control.SetReadDeadline(time.Now().Add(w.stall))
	}
	if err == nil {
		status := http.StatusOK
		if created {
			status = http.StatusCreated
		}
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(status)
		return
	}
	var no *refusal
	var at *moved
	switch {
	case errors.As(err, &at):
		p.redirect(w, at.to, nil)
	case errors.As(err, &no):
		p.log.WarnContext(r.Context(), "push refused", "path", r.URL.Path, "user", w.user, "reason", no.text)
		p.refuse(w, no.status, no.text)
	// net/http ends the context of a request whose body cannot be read, so the
	// body comes first.
	case errors.Is(body.err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		p.refuse(w, http.StatusRequestTimeout, fmt.Sprintf("nothing was sent for %v", w.stall))
	case body.err != nil: // the connection failed
		w.Header().Set("Connection", "close")
		p.refuse(w, http.StatusBadRequest, "the body ended early")
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler)
	default:
		p.fail(w, r, failure{err})
	}
}

// failure is an error that never is a 404: what a push needs is missing from
// the storage, not what it asks for.
type failure struct{ err error }

func (f failure) Error() string { return f.err.Error() }

// receive takes in an object and reports whether it is new.
func (p *receiver) receive(r *http.Request, t target, body *pushBody) (created bool, err error) {
	limit := t.kind.Limit()
	switch t.kind {
	case layout.Archive:
		limit = p.limits.ArchiveSize
	case layout.Log:
		limit = p.limits.LogSize
	case layout.Listing:
		limit = min(limit, maxListing)
	}
	if limit == 0 || t.kind == layout.Index {
		return false, refusef(http.StatusForbidden, "objects of this kind cannot be pushed")
	}
	if r.ContentLength > limit {
		return false, refusef(http.StatusRequestEntityTooLarge, "%d bytes are more than the %d that are taken", r.ContentLength, limit)
	}
	if err := p.precondition(r, t); err != nil {
		return false, err
	}
	body.left = limit
	if t.kind == layout.Archive {
		return p.receiveArchive(r, t.key, body)
	}
	plain, err := decodedBody(r, body, limit)
	if err != nil {
		return false, err
	}
	defer plain.Close()
	if t.kind == layout.Log {
		return p.receiveLog(r, t.key, plain)
	}
	data, err := io.ReadAll(plain)
	if err != nil {
		if body.err != nil {
			return false, err
		}
		return false, refusef(http.StatusBadRequest, "%v", err)
	}
	switch t.kind {
	case layout.NarInfo:
		return p.receiveNarInfo(r.Context(), t.key, data)
	case layout.Listing:
		return p.receiveListing(r.Context(), t.key, data)
	case layout.DebugInfo:
		return p.receiveLink(r.Context(), t.key, data)
	case layout.Realisation:
		return p.receiveRealisation(r.Context(), t.key, data)
	}
	return false, p.checkCacheInfo(data)
}

// maxListing bounds the listings that are taken, in bytes.
const maxListing = 64 << 20

// precondition checks If-None-Match: * and If-Match against what the gateway
// serves.
func (p *receiver) precondition(r *http.Request, t target) error {
	none, match := r.Header.Get("If-None-Match"), r.Header.Get("If-Match")
	if none == "" && match == "" {
		return nil
	}
	etag := ""
	if t.kind == layout.NarInfo {
		switch o, err := p.lookup(r.Context(), t); {
		case err == nil:
			etag = o.entity.etag
		case !isAbsent(err):
			return failure{err}
		}
	} else {
		switch attrs, err := p.bucket.Head(r.Context(), t.key); {
		case err == nil:
			etag = storedETag(attrs)
		case !isAbsent(err):
			return failure{err}
		}
	}
	if etag != "" && (none == "*" || none == etag) || match != "" && (etag == "" || match != "*" && match != etag) {
		return refusef(http.StatusPreconditionFailed, "the precondition does not hold")
	}
	return nil
}

// checkCacheInfo accepts the description that Nix writes into a new cache: the
// gateway has one of its own.
func (p *receiver) checkCacheInfo(data []byte) error {
	info, err := narinfo.ParseCacheInfo(data)
	if err != nil {
		return refusef(http.StatusBadRequest, "%v", err)
	}
	if info.StoreDir != "" && info.StoreDir != p.cache.StoreDir() {
		return refusef(http.StatusConflict, "this cache is for %s, got paths of %s", p.cache.StoreDir(), info.StoreDir)
	}
	return nil
}

// decodedBody removes the Content-Encoding of a request.
func decodedBody(r *http.Request, body io.Reader, limit int64) (io.ReadCloser, error) {
	encoding := strings.Join(r.Header.Values("Content-Encoding"), ",")
	names, err := codec.ContentEncodings(encoding)
	if err != nil {
		return nil, refusef(http.StatusUnsupportedMediaType, "%v", err)
	}
	if len(names) == 0 {
		return io.NopCloser(body), nil
	}
	plain, err := codec.NewContentReader(encoding, body, codec.ReaderOptions{MaxSize: limit})
	if err != nil {
		return nil, refusef(http.StatusBadRequest, "%v", err)
	}
	return plain, nil
}
