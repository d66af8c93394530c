package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
)

// Narinfos, listings, realisations and logs may be stored with a
// Content-Encoding. Readers believe the header first; where a server lost it,
// the magic bytes tell.

// Bounds of the small objects, after decoding.
const (
	narInfoLimit     = 4 << 20
	listingLimit     = 256 << 20
	realisationLimit = 1 << 20
)

// getSmall reads an object of at most limit bytes, decoded.
func (c *Cache) getSmall(ctx context.Context, key string, limit int64) ([]byte, blob.Attrs, error) {
	raw, attrs, err := blob.ReadAll(ctx, c.bucket, key, limit)
	if err != nil {
		return nil, attrs, err
	}
	if attrs.ContentEncoding == "" && codec.Detect(raw) == "" {
		return raw, attrs, nil
	}
	r, err := c.decodeObject(key, attrs, bytes.NewReader(raw), codec.ReaderOptions{MaxSize: limit})
	if err != nil {
		return nil, attrs, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, attrs, fmt.Errorf("%s in %s: %w", key, c, err)
	}
	return data, attrs, nil
}

// decodeObject undoes an object's Content-Encoding.
func (c *Cache) decodeObject(key string, attrs blob.Attrs, body io.Reader, o codec.ReaderOptions) (io.ReadCloser, error) {
	name, err := codec.FromContentEncoding(attrs.ContentEncoding)
	if err == nil {
		var r io.ReadCloser
		if r, _, err = codec.NewReaderDetect(name, body, o); err == nil {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%s in %s: %w", key, c, err)
}

// putSmall stores an object, encoded as the setting of its kind says.
func (c *Cache) putSmall(ctx context.Context, key string, data []byte, encoding string, opts blob.PutOptions) (blob.Attrs, error) {
	var buf bytes.Buffer
	w, err := codec.NewWriter(encoding, &buf, codec.WriterOptions{})
	if err != nil {
		return blob.Attrs{}, err
	}
	_, err = w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		return blob.Attrs{}, err
	}
	opts.ContentEncoding = codec.ContentEncoding(encoding)
	return c.bucket.Put(ctx, key, bytes.NewReader(buf.Bytes()), opts)
}
