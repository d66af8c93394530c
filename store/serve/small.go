package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
)

// small is an object that is kept in memory whole.
type small struct {
	entity *entity
	info   *narinfo.NarInfo // of a narinfo, as it is served
	url    string           // of a narinfo's archive, as stored
	from   *upstream        // that has the path; nil: the cache itself

}

func newSmall(kind layout.Kind, data []byte, modTime time.Time) *small {
	return &small{entity: bytesEntity(kind, data, modTime)}
}

// overhead is what a remembered object takes besides its bytes, roughly.
const overhead = 1 << 10

func (s *Server) readSmall(w http.ResponseWriter, r *http.Request, t target) {
	o, err := s.lookup(r.Context(), t)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.send(w, r, o.entity)
}

// lookup returns a small object, remembered or fetched. Requests for one key at
// a time share one fetch, which goes on when one of them is given up.
func (s *Server) lookup(ctx context.Context, t target) (*small, error) {
	if o, err := s.known(t.key); o != nil || err != nil {
		return o, err
	}
	result := s.flights.DoChan(t.key, func() (any, error) {
		// Another flight may have ended since.
		if o, err := s.known(t.key); o != nil || err != nil {
			return o, err
		}
		hits, misses := s.small.now(), s.misses.now()
		ctx, cancel := context.WithTimeout(s.ctx, s.limits.Request)
		defer cancel()
		o, err := s.fetch(ctx, t)
		switch {
		case err == nil:
			s.small.put(hits, t.key, o, o.entity.size+overhead, s.limits.HitTTL)
		default:
			s.noteMiss(misses, t.key, err)
		}
		return o, err
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*small), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// known returns what is remembered of a key: the object, ErrNotFound for an
// absent one, or nothing.
func (s *Server) known(key string) (*small, error) {
	if o, ok := s.small.get(key); ok {
		return o, nil
	}
	if _, ok := s.misses.get(key); ok {
		return nil, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	return nil, nil
}

// noteMiss remembers that a key is absent, if that is what the error says. The
// epoch is that of before it was asked for.
func (s *Server) noteMiss(epoch uint64, key string, err error) {
	if isAbsent(err) {
		s.misses.put(epoch, key, struct{}{}, 1, s.limits.MissTTL)
	}
}

// forget drops what is remembered of a key.
func (s *Server) forget(key string) {
	s.small.forget(key)
	s.misses.forget(key)
	s.flights.Forget(key)
}

func (s *Server) fetch(ctx context.Context, t target) (*small, error) {
	switch t.kind {
	case layout.CacheInfo:
		return s.fetchCacheInfo(ctx)
	case layout.NarInfo:
		return s.fetchNarInfo(ctx, t)
	case layout.DebugInfo:
		return s.fetchDebugInfo(ctx, t)
	}
	return s.fetchRealisation(ctx, t)
}

func (s *Server) fetchStored(ctx context.Context, t target) (*small, error) {
	data, attrs, err := s.cache.ReadObject(ctx, t.key)
	if err != nil {
		return nil, err
	}
	return newSmall(t.kind, data, attrs.ModTime), nil
}

// fetchNarInfo reads a narinfo of the cache, else of an upstream. Its text is
// the stored one unless something is changed on the way out.
func (s *Server) fetchNarInfo(ctx context.Context, t target) (*small, error) {
	o, err := s.storedNarInfo(ctx, t)
	if isAbsent(err) && s.opts.Restore != nil {
		hashPart, _ := layout.ParseNarInfoKey(t.key)
		restored, rerr := s.opts.Restore(ctx, hashPart)
		if rerr != nil {
			return nil, errors.Join(errUnavailable, rerr)
		}
		if restored {
			o, err = s.storedNarInfo(ctx, t)
		}
	}
	if isAbsent(err) && len(s.upstreams) > 0 {
		return s.upstreamNarInfo(ctx, t)
	}
	return o, err
}

func (s *Server) storedNarInfo(ctx context.Context, t target) (*small, error) {
	text, attrs, err := s.cache.ReadObject(ctx, t.key)
	if err != nil {
		return nil, err
	}
	return s.parsed(ctx, t.key, text, attrs.ModTime)
}

// parsed checks a narinfo and makes it what clients get.
func (s *Server) parsed(ctx context.Context, key string, text []byte, modTime time.Time) (*small, error) {
	info, err := narinfo.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if hashPart, _ := layout.ParseNarInfoKey(key); info.Path.HashPart() != hashPart || info.StoreDir != s.cache.StoreDir() {
		return nil, fmt.Errorf("%s: %w: expected a path of %s with the hash part, got %s", key, store.ErrMismatch, s.cache.StoreDir(), info.StoreDir.Join(info.Path))
	}
	changed, stored := false, info.URL
	if url := servable(info); url != info.URL {
		info.URL, changed = url, true
	}
	if len(s.opts.Signers) > 0 {
		before := len(info.Signatures)
		if err := info.Sign(ctx, s.opts.Signers...); err != nil {
			return nil, fmt.Errorf("signing %s: %w", info.Path, err)
		}
		changed = changed || len(info.Signatures) != before
	}
	if changed {
		if text, err = info.MarshalText(); err != nil {
			return nil, err
		}
	}
	o := newSmall(layout.NarInfo, text, modTime)
	o.info, o.url = info, stored
	return o, nil
}

// fetchDebugInfo reads a link to debug information under either of its names.
func (s *Server) fetchDebugInfo(ctx context.Context, t target) (*small, error) {
	o, err := s.fetchStored(ctx, t)
	if !isAbsent(err) {
		return o, err
	}
	const suffix = ".debug"
	other := strings.TrimSuffix(t.key, suffix)
	if other == t.key {
		other += suffix
	}
	t.key = other
	return s.fetchStored(ctx, t)
}

func (s *Server) fetchRealisation(ctx context.Context, t target) (*small, error) {
	o, err := s.fetchStored(ctx, t)
	if isAbsent(err) && len(s.upstreams) > 0 {
		return s.upstreamRealisation(ctx, t)
	}
	return o, err
}
