package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// Upstream is another cache, which is asked for what the first lacks. Only
// narinfos, their archives and realisations come from it, since only these are
// signed.
type Upstream struct {
	Cache *store.Cache

	// Keys sign what is taken from the upstream. At least one is needed.
	Keys narinfo.TrustedKeys

	// Priority orders upstreams, the lowest first.
	Priority int

	// Timeout bounds a request for a small object; 5 s where it is 0.
	Timeout time.Duration

	// PullThrough stores what clients fetch.
	PullThrough bool

	// Optional makes the outage of the upstream a miss. A client remembers a
	// miss for an hour, so that it builds what the upstream has. Otherwise such
	// an answer is 503.
	Optional bool
}

// headStart is how long an upstream is asked alone before the next one is asked
// too.
const headStart = 100 * time.Millisecond

// upstream is an Upstream at work.
type upstream struct {
	Upstream
	name    string
	breaker *breaker
	metrics *metrics
}

func newUpstreams(list []Upstream, main *store.Cache, m *metrics) ([]*upstream, error) {
	var all []*upstream
	for _, u := range list {
		if len(u.Keys) == 0 {
			return nil, fmt.Errorf("upstream %s: expected public keys, got none", u.Cache)
		}
		if u.Cache.StoreDir() != main.StoreDir() {
			return nil, fmt.Errorf("upstream %s: %w", u.Cache, store.ErrStoreDir)
		}
		u.Timeout = cmp.Or(u.Timeout, 5*time.Second)
		all = append(all, &upstream{Upstream: u, name: u.Cache.String(), breaker: &breaker{}, metrics: m})
	}
	slices.SortStableFunc(all, func(a, b *upstream) int { return cmp.Compare(a.Priority, b.Priority) })
	return all, nil
}

// ask does a request unless the breaker is open, and tells it how it went.
func (u *upstream) ask(ctx context.Context, do func(ctx context.Context) error) error {
	err := u.breaker.err()
	if err == nil {
		ctx, cancel := context.WithTimeoutCause(ctx, u.Timeout, fmt.Errorf("no answer within %v", u.Timeout))
		defer cancel()
		err = do(ctx)
		u.note(ctx, err)
	}
	if err == nil || isAbsent(err) {
		return err
	}
	if u.Optional {
		return fmt.Errorf("%s: %w: %v", u.name, store.ErrNotFound, err)
	}
	return fmt.Errorf("upstream %s: %w", u.name, err)
}

// note tells the breaker and the metrics how a request went.
func (u *upstream) note(ctx context.Context, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return // another one was faster
	}
	u.metrics.upstreams.WithLabelValues(u.name, outcome(err)).Inc()
	open := 0.0
	if u.breaker.note(err != nil && !isAbsent(err) && !errors.Is(err, store.ErrUntrusted)) {
		open = 1
	}
	u.metrics.breakers.WithLabelValues(u.name).Set(open)
}

// race asks upstreams in their order, each with a head start over the next, and
// returns the first result. Without one it returns the error of an upstream
// that failed, since that one may have it, else that of an absent object.
func race[T any](ctx context.Context, all []*upstream, ask func(ctx context.Context, u *upstream) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	results := make(chan result, len(all))
	var none T
	worst := fmt.Errorf("no upstream has it: %w", store.ErrNotFound)
	for next, pending := 0, 0; next < len(all) || pending > 0; {
		var timer <-chan time.Time
		if next < len(all) {
			if pending == 0 {
				timer = closedTime
			} else {
				timer = time.After(headStart)
			}
		}
		select {
		case <-timer:
			u := all[next]
			next++
			pending++
			go func() {
				var r result
				r.err = u.ask(ctx, func(ctx context.Context) (err error) {
					r.value, err = ask(ctx, u)
					return err
				})
				results <- r
			}()
		case r := <-results:
			pending--
			if r.err == nil {
				return r.value, nil
			}
			if !isAbsent(r.err) {
				worst = r.err
			}
		case <-ctx.Done():
			return none, context.Cause(ctx)
		}
	}
	return none, worst
}

var closedTime = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

// upstreamNarInfo returns the narinfo of an upstream, which one of its keys has
// signed.
func (s *Server) upstreamNarInfo(ctx context.Context, t target) (*small, error) {
	return race(ctx, s.upstreams, func(ctx context.Context, u *upstream) (*small, error) {
		text, attrs, err := u.Cache.ReadObject(ctx, t.key)
		if err != nil {
			return nil, err
		}
		o, err := s.parsed(ctx, t.key, text, attrs.ModTime)
		if err != nil {
			return nil, err
		}
		if err := u.Keys.Verify(&o.info.PathInfo); err != nil {
			return nil, err
		}
		// No signature covers the URL, so it must not lead the gateway to
		// servers that it trusts.
		if ref, err := url.Parse(o.url); err != nil || ref.IsAbs() || ref.Host != "" {
			return nil, fmt.Errorf("%s: URL %q leads out of the upstream", t.key, o.url)
		}
		o.from = u
		s.noteOrigin(o)
		return o, nil
	})
}

// originTTL is how long a client may take to fetch an archive of an upstream
// after its narinfo before the upstreams are asked where the archive is.
const originTTL = 24 * time.Hour

// maxTwins bounds the paths with one archive that are remembered.
const maxTwins = 1000

// noteOrigin remembers the narinfo of an upstream until its archive is asked
// for. Where the archive was kept already, for another path, it publishes the
// path.
func (s *Server) noteOrigin(o *small) {
	key := archiveKeyOf(o.info)
	s.originsMu.Lock()
	known, _ := s.origins.get(key)
	all := make([]*small, 0, len(known)+1)
	for _, other := range known {
		if other.info.Path != o.info.Path {
			all = append(all, other)
		}
	}
	all = append(all[max(len(all)-maxTwins+1, 0):], o)
	s.origins.put(s.origins.now(), key, all, int64(len(all))*overhead, originTTL)
	s.originsMu.Unlock()
	s.keepTwin(o)
}

// archiveKeyOf returns the key under which clients fetch an archive.
func archiveKeyOf(info *narinfo.NarInfo) string {
	key, err := layout.ReferenceKey(info.URL)
	if err != nil {
		return info.URL
	}
	return key
}

// upstreamRealisation returns a realisation that a key of the upstream has
// signed.
func (s *Server) upstreamRealisation(ctx context.Context, t target) (*small, error) {
	return race(ctx, s.upstreams, func(ctx context.Context, u *upstream) (*small, error) {
		text, attrs, err := u.Cache.ReadObject(ctx, t.key)
		if err != nil {
			return nil, err
		}
		id, err := narinfo.ParseRealisationKey(t.key)
		if err != nil {
			return nil, err
		}
		r, err := narinfo.ParseRealisation(id, text)
		if err != nil {
			return nil, err
		}
		if err := u.Keys.VerifyRealisation(r); err != nil {
			return nil, err
		}
		return newSmall(t.kind, text, attrs.ModTime), nil
	})
}

// upstreamArchive finds an archive of an upstream: that of a narinfo which was
// served before, else one of that key.
func (s *Server) upstreamArchive(ctx context.Context, t target) (*entity, error) {
	var o *small
	all, ok := s.origins.get(t.key)
	if ok {
		o = all[len(all)-1]
	}
	if hashPart, detoured := detourOf(t.key); !ok && detoured {
		key := layout.NarInfoKey(hashPart)
		found, err := s.lookup(ctx, target{kind: layout.NarInfo, key: key, ref: key})
		if err != nil {
			return nil, err
		}
		o, ok = found, found.from != nil
	}
	if !ok {
		return s.unknownArchive(ctx, t)
	}
	p, err := s.pull(ctx, t.key, o)
	if err != nil {
		return nil, err
	}
	e := storedEntity(t.kind, blob.Attrs{Key: t.key, Size: p.size})
	e.open = func(ctx context.Context, part byteRange) (io.ReadCloser, error) {
		return &pullReader{ctx: ctx, p: p, at: part.offset, end: part.offset + part.length}, nil
	}
	e.close = p.leave
	return e, nil
}

// unknownArchive passes on an archive whose narinfo this instance has not
// served, so that it cannot verify it. The client does.
func (s *Server) unknownArchive(ctx context.Context, t target) (*entity, error) {
	type found struct {
		u     *upstream
		attrs blob.Attrs
	}
	at, err := race(ctx, s.upstreams, func(ctx context.Context, u *upstream) (found, error) {
		attrs, err := u.Cache.Bucket().Head(ctx, t.key)
		return found{u, attrs}, err
	})
	if err != nil {
		return nil, err
	}
	e := storedEntity(t.kind, at.attrs)
	if isEncoded(at.attrs.ContentEncoding, compressionOf(t.key)) {
		e.contentEncoding = at.attrs.ContentEncoding
	}
	e.open = func(ctx context.Context, part byteRange) (io.ReadCloser, error) {
		if part.length == 0 {
			return http.NoBody, nil
		}
		obj, err := openUpstream(ctx, at.u, t.ref, blob.GetOptions{Offset: part.offset, Length: part.length, IfMatch: at.attrs.ETag})
		if err != nil {
			return nil, err
		}
		return obj.Body, nil
	}
	return e, nil
}

// openUpstream opens an archive of the upstreams.
func openUpstream(ctx context.Context, u *upstream, ref string, opts blob.GetOptions) (*blob.Object, error) {
	if err := u.breaker.err(); err != nil {
		return nil, err
	}
	obj, err := getRef(ctx, u.Cache.Bucket(), ref, opts)
	u.note(ctx, err)
	return obj, err
}
