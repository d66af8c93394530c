package serve

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// readEncoded answers for a listing or a log, which may be stored with a
// Content-Encoding. A client that does not accept the encoding gets the object
// decoded.
func (s *Server) readEncoded(w http.ResponseWriter, r *http.Request, t target) {
	if _, ok := s.misses.get(t.key); ok {
		s.missing(w)
		return
	}
	epoch := s.misses.now()
	obj, err := s.bucket.Get(r.Context(), t.key, blob.GetOptions{})
	if err != nil {
		err = s.deniedIsAbsent(r.Context(), t, err)
		s.noteMiss(epoch, t.key, err)
		s.fail(w, r, err)
		return
	}
	defer obj.Body.Close()
	e, done, err := s.encodedEntity(r, t, obj)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	s.send(w, r, e)
}

// deniedIsAbsent makes a denied listing that there may not be an absent one, as
// the cache does.
func (s *Server) deniedIsAbsent(ctx context.Context, t target, err error) error {
	if isAbsent(err) || t.kind.Limit() == 0 {
		return err
	}
	if _, _, again := s.cache.ReadObject(ctx, t.key); isAbsent(again) {
		return again
	}
	return err
}

// encodedEntity is what a client gets of a whole object that was opened: the
// stored bytes where the client accepts their encodings, else the content.
func (s *Server) encodedEntity(r *http.Request, t target, obj *blob.Object) (e *entity, done func(), err error) {
	e = storedEntity(t.kind, obj.Attrs)
	names, err := codec.ContentEncodings(obj.ContentEncoding)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.key, err)
	}
	e.varies = len(names) > 0
	if obj.Length >= 0 && accepts(r.Header.Values("Accept-Encoding"), names) {
		e.contentEncoding = strings.Join(names, ", ")
		e.size = obj.Length
		e.open = func(ctx context.Context, part byteRange) (io.ReadCloser, error) {
			if part.offset == 0 && part.length == obj.Length {
				return obj.Body, nil
			}
			again, err := s.getRef(ctx, t.ref, blob.GetOptions{Offset: part.offset, Length: part.length, IfMatch: obj.ETag})
			if err != nil {
				return nil, err
			}
			return again.Body, nil
		}
		return e, func() {}, nil
	}
	limit := s.limits.Decoded
	if t.kind == layout.Archive {
		limit = s.limits.ArchiveSize
	}
	d, err := s.decode(obj, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.key, err)
	}
	e.etag = strings.TrimSuffix(e.etag, `"`) + `-decoded"`
	e.size = d.size
	e.open = func(_ context.Context, part byteRange) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(d, part.offset, part.length)), nil
	}
	return e, d.close, nil
}

// decoded is a decoded object: in memory while it is small, else in a temporary
// file, so that its length is known before it is sent.
type decoded struct {
	io.ReaderAt
	size int64
	file *os.File
}

// decodedMemory is how much of a decoded object is kept in memory.
const decodedMemory = 256 << 10

func (s *Server) decode(obj *blob.Object, limit int64) (*decoded, error) {
	r, err := codec.NewContentReader(obj.ContentEncoding, obj.Body, codec.ReaderOptions{MaxSize: limit})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var head bytes.Buffer
	n, err := io.CopyN(&head, r, decodedMemory)
	if err == io.EOF {
		return &decoded{ReaderAt: bytes.NewReader(head.Bytes()), size: n}, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.cache.Settings().SpoolDir, "nixs3-decoded-*")
	if err != nil {
		return nil, err
	}
	d := &decoded{ReaderAt: f, file: f}
	d.size, err = io.Copy(f, io.LimitReader(io.MultiReader(&head, r), limit+1))
	if err == nil && d.size > limit {
		err = fmt.Errorf("%w: more than %d bytes", codec.ErrTooLarge, limit)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *decoded) close() {
	if d.file != nil {
		d.file.Close()
		os.Remove(d.file.Name())
	}
}

// accepts reports whether an Accept-Encoding header names all encodings, each
// with a weight above zero (RFC 9110, section 12.5.3). The wildcard does not
// count: clients that send it do not know the encodings of Nix.
func accepts(header, encodings []string) bool {
	for _, encoding := range encodings {
		if !acceptsOne(header, encoding) {
			return false
		}
	}
	return true
}

func acceptsOne(header []string, encoding string) bool {
	for element := range strings.SplitSeq(strings.Join(header, ","), ",") {
		name, params, _ := strings.Cut(element, ";")
		if name = strings.ToLower(strings.TrimSpace(name)); strings.TrimPrefix(name, "x-") != encoding {
			continue
		}
		weight, ok := strings.CutPrefix(strings.TrimSpace(params), "q=")
		if !ok {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}
