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

func (s *Server) encodedEntity(r *http.Request, t target, obj *blob.Object) (e *entity, done func(), err error) {
	e = storedEntity(t.kind, obj.Attrs)
	name, err := codec.FromContentEncoding(obj.ContentEncoding)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.key, err)
	}
	e.varies = name != codec.None
	if obj.Length >= 0 && (name == codec.None || accepts(r.Header.Values("Accept-Encoding"), obj.ContentEncoding)) {
		e.contentEncoding = codec.ContentEncoding(name)
		e.open = func(ctx context.Context, part byteRange) (io.ReadCloser, error) {
			if part.offset == 0 && part.length == obj.Length {
				return obj.Body, nil
			}
			again, err := s.bucket.Get(ctx, t.key, blob.GetOptions{Offset: part.offset, Length: part.length, IfMatch: obj.ETag})
			if err != nil {
				return nil, err
			}
			return again.Body, nil
		}
		return e, func() {}, nil
	}
	d, err := s.decode(name, obj.Body)
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

func (s *Server) decode(name string, body io.Reader) (*decoded, error) {
	r, err := codec.NewReader(name, body, codec.ReaderOptions{MaxSize: s.limits.Decoded})
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
	if d.size, err = io.Copy(f, io.MultiReader(&head, r)); err != nil {
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

// accepts reports whether an Accept-Encoding header names an encoding with a
// weight above zero (RFC 9110, section 12.5.3). The wildcard does not count:
// clients that send it do not know the encodings of Nix.
func accepts(header []string, encoding string) bool {
	for element := range strings.SplitSeq(strings.Join(header, ","), ",") {
		name, params, _ := strings.Cut(element, ";")
		if !strings.EqualFold(strings.TrimSpace(name), encoding) {
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
