package serve

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// servable returns the URL of a narinfo's archive as clients of the gateway get
// it: the narinfo's own where that leads to an archive of the gateway, else one
// below detour, by which the gateway finds the narinfo again.
func servable(info *narinfo.NarInfo) string {
	u, err := url.Parse(info.URL)
	if err == nil && !u.IsAbs() && u.Host == "" && route(&url.URL{Path: "/" + u.Path, RawPath: "/" + u.EscapedPath()}).kind == layout.Archive {
		return info.URL
	}
	return detour + info.Path.HashPart() + "/" + info.NarHash.Nix32() + ".nar"
}

// detour is the prefix of archives whose stored URL leads elsewhere.
const detour = layout.ArchivePrefix + "of/"

// readArchive answers for an archive or its index, as stored.
func (s *Server) readArchive(w http.ResponseWriter, r *http.Request, t target) {
	if _, ok := s.misses.get(t.key); ok {
		s.missing(w)
		return
	}
	epoch := s.misses.now()
	elsewhere, err := s.past.elsewhere(r.Context(), r, t)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var e *entity
	if elsewhere != "" {
		if e, err = s.headEntity(r.Context(), t); err == nil {
			s.redirect(w, elsewhere, e)
			return
		}
	} else {
		e, err = s.archive(r, t)
	}
	if isAbsent(err) && len(s.upstreams) > 0 {
		e, err = s.upstreamArchive(r.Context(), t)
	}
	if err != nil {
		s.noteMiss(epoch, t.key, err)
		s.fail(w, r, err)
		return
	}
	if e.close != nil {
		defer e.close()
	}
	s.send(w, r, e)
}

// archive finds an archive. A plain GET opens it right away; what needs its
// size first asks for that.
func (s *Server) archive(r *http.Request, t target) (*entity, error) {
	h := r.Header
	if r.Method == http.MethodGet && h.Get("Range") == "" && !conditional(h) {
		obj, err := s.openArchive(r.Context(), t, blob.GetOptions{})
		if err != nil {
			return nil, err
		}
		if isEncoded(obj.ContentEncoding, compressionOf(t.key)) {
			return s.encodedArchive(r, t, obj)
		}
		if obj.Length >= 0 {
			e := storedEntity(t.kind, obj.Attrs)
			e.size = obj.Length
			e.open = func(context.Context, byteRange) (io.ReadCloser, error) { return obj.Body, nil }
			return e, nil
		}
		obj.Body.Close()
	}
	e, err := s.headEntity(r.Context(), t)
	if err != nil || e.contentEncoding == "" {
		return e, err
	}
	obj, err := s.openArchive(r.Context(), t, blob.GetOptions{})
	if err != nil {
		return nil, err
	}
	return s.encodedArchive(r, t, obj)
}

// isEncoded reports whether a Content-Encoding is more than the compression of
// the archive itself, which some tools take for it.
func isEncoded(encoding string, compression narinfo.Compression) bool {
	names, err := codec.ContentEncodings(encoding)
	return err != nil || len(names) > 1 || len(names) == 1 && names[0] != string(compression)
}

// encodedArchive is an archive whose object has a Content-Encoding.
func (s *Server) encodedArchive(r *http.Request, t target, obj *blob.Object) (*entity, error) {
	var err error
	if t.ref, err = s.storedRef(r.Context(), t); err != nil {
		obj.Body.Close()
		return nil, err
	}
	e, done, err := s.encodedEntity(r, t, obj)
	if err != nil {
		obj.Body.Close()
		return nil, err
	}
	e.close = func() {
		done()
		obj.Body.Close()
	}
	return e, nil
}

// headEntity is an archive that is opened when it is sent.
func (s *Server) headEntity(ctx context.Context, t target) (*entity, error) {
	attrs, err := s.headArchive(ctx, t)
	if err != nil {
		return nil, err
	}
	e := storedEntity(t.kind, attrs)
	if isEncoded(attrs.ContentEncoding, compressionOf(t.key)) {
		e.contentEncoding = attrs.ContentEncoding
	}
	e.open = func(ctx context.Context, part byteRange) (io.ReadCloser, error) {
		if part.length == 0 {
			return http.NoBody, nil
		}
		obj, err := s.openArchive(ctx, t, blob.GetOptions{Offset: part.offset, Length: part.length, IfMatch: attrs.ETag})
		if err != nil {
			return nil, err
		}
		return obj.Body, nil
	}
	return e, nil
}

// openArchive opens an archive of the cache.
func (s *Server) openArchive(ctx context.Context, t target, opts blob.GetOptions) (*blob.Object, error) {
	ref, err := s.storedRef(ctx, t)
	if err != nil {
		return nil, err
	}
	return s.getRef(ctx, ref, opts)
}

// headArchive returns the attributes of an archive. There is no HEAD of a
// reference, so it is opened.
func (s *Server) headArchive(ctx context.Context, t target) (blob.Attrs, error) {
	ref, err := s.storedRef(ctx, t)
	if err != nil {
		return blob.Attrs{}, err
	}
	if ref == t.key {
		return s.bucket.Head(ctx, t.key)
	}
	obj, err := s.getRef(ctx, ref, blob.GetOptions{})
	if err != nil {
		return blob.Attrs{}, err
	}
	return obj.Attrs, obj.Body.Close()
}

// storedRef returns the reference under which the cache has an archive.
func (s *Server) storedRef(ctx context.Context, t target) (string, error) {
	hashPart, ok := detourOf(t.key)
	if !ok {
		return t.ref, nil
	}
	key := layout.NarInfoKey(hashPart)
	o, err := s.lookup(ctx, target{kind: layout.NarInfo, key: key, ref: key})
	if err != nil {
		return "", err
	}
	if o.from != nil {
		return "", &blob.Error{Op: "Get", Key: t.key, Err: blob.ErrNotFound} // the upstream has it
	}
	return o.url, nil
}

// detourOf returns the hash part that a key below detour has.
func detourOf(key string) (hashPart string, ok bool) {
	rest, ok := strings.CutPrefix(key, detour)
	hashPart, _, _ = strings.Cut(rest, "/")
	return hashPart, ok && layout.KindOf(layout.NarInfoKey(hashPart)) == layout.NarInfo
}

// getRef opens what the URL of a narinfo means in the cache.
func (s *Server) getRef(ctx context.Context, ref string, opts blob.GetOptions) (*blob.Object, error) {
	return getRef(ctx, s.bucket, ref, opts)
}

func getRef(ctx context.Context, b blob.Bucket, ref string, opts blob.GetOptions) (*blob.Object, error) {
	if referrer, ok := blob.As[blob.Referrer](b); ok {
		return referrer.GetRef(ctx, ref, opts)
	}
	key, err := layout.ReferenceKey(ref)
	if err != nil {
		return nil, err
	}
	return b.Get(ctx, key, opts)
}

func storedEntity(kind layout.Kind, a blob.Attrs) *entity {
	return &entity{kind: kind, contentType: kind.ContentType(), etag: storedETag(a), modTime: a.ModTime, size: a.Size}
}

// conditional reports whether a request has a precondition.
func conditional(h http.Header) bool {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if h.Get(name) != "" {
			return true
		}
	}
	return false
}
