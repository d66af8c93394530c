package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// Narinfos, listings, realisations and logs may be stored with a
// Content-Encoding. If a server has lost the header, readers recognise the codec
// by its signature.

// getSmall reads an object of at most limit bytes, decoded.
func (c *Cache) getSmall(ctx context.Context, key string, limit int64) ([]byte, blob.Attrs, error) {
	raw, attrs, err := blob.ReadAll(ctx, c.bucket, key, limit)
	if err != nil {
		return nil, attrs, err
	}
	data, err := codec.DecodeContent(attrs.ContentEncoding, raw, limit)
	if err != nil {
		return nil, attrs, fmt.Errorf("%s in %s: %w", key, c, err)
	}
	return data, attrs, nil
}

// putSmall stores an object with the encoding that the settings name for its kind.
func (c *Cache) putSmall(ctx context.Context, key string, data []byte, encoding string, opts blob.PutOptions) (blob.Attrs, error) {
	leave, err := c.places.small.enter(ctx, 1)
	if err != nil {
		return blob.Attrs{}, err
	}
	defer leave()
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

// Log opens the build log of a derivation.
func (c *Cache) Log(ctx context.Context, drv storepath.Path) (io.ReadCloser, error) {
	if _, err := c.describe(ctx); err != nil {
		return nil, err
	}
	key := layout.LogKey(drv)
	obj, err := c.bucket.Get(ctx, key, blob.GetOptions{})
	if err != nil {
		return nil, err
	}
	r, err := codec.NewContentReader(obj.ContentEncoding, obj.Body, codec.ReaderOptions{})
	if err != nil {
		obj.Body.Close()
		return nil, fmt.Errorf("%s in %s: %w", key, c, err)
	}
	return &decodedBody{r, obj.Body}, nil
}

// decodedBody closes the decoder and what it reads from.
type decodedBody struct {
	io.ReadCloser
	body io.Closer
}

func (d *decodedBody) Close() error { return errors.Join(d.ReadCloser.Close(), d.body.Close()) }

// PutLog stores the build log of a derivation. It reads the log to its end
// first, so that it stores a log of any size completely or not at all.
func (c *Cache) PutLog(ctx context.Context, drv storepath.Path, log io.Reader) error {
	if err := c.ensureDescribed(ctx); err != nil {
		return err
	}
	staged, err := c.stage(ctx, 0)
	if err != nil {
		return err
	}
	defer staged.Close()
	name := c.settings.LogCompression
	w, err := codec.NewWriter(name, staged, codec.WriterOptions{})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, withContext(ctx, log))
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	_, err = staged.Commit(layout.LogKey(drv), blob.PutOptions{
		ContentType: layout.Log.ContentType(), ContentEncoding: codec.ContentEncoding(name)})
	return err
}

// Realisation returns the realisation of a derivation's output.
func (c *Cache) Realisation(ctx context.Context, id narinfo.DrvOutput) (*narinfo.Realisation, error) {
	if _, err := c.describe(ctx); err != nil {
		return nil, err
	}
	data, _, err := c.getSmall(ctx, layout.RealisationKey(id), layout.Realisation.Limit())
	if err != nil {
		return nil, err
	}
	return narinfo.ParseRealisation(id, data)
}

// PutRealisation stores a realisation. The cache's signers sign it too.
func (c *Cache) PutRealisation(ctx context.Context, r *narinfo.Realisation) error {
	if err := c.ensureDescribed(ctx); err != nil {
		return err
	}
	signed := *r
	if err := signed.Sign(ctx, c.settings.Signers...); err != nil {
		return err
	}
	data, err := signed.MarshalObject()
	if err != nil {
		return err
	}
	if limit := layout.Realisation.Limit(); int64(len(data)) > limit {
		return fmt.Errorf("realisation %v: expected at most %d bytes, got %d", r.ID, limit, len(data))
	}
	_, err = c.bucket.Put(ctx, layout.RealisationKey(r.ID), bytes.NewReader(data),
		blob.PutOptions{ContentType: layout.Realisation.ContentType()})
	return err
}

// withContext returns a reader that fails when the context has ended. It does
// not interrupt a Read that blocks.
func withContext(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
