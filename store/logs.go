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
)

func logKey(drv storepath.Path) string { return "log/" + drv.String() }

// Log opens the build log of a derivation.
func (c *Cache) Log(ctx context.Context, drv storepath.Path) (io.ReadCloser, error) {
	if _, err := c.describe(ctx); err != nil {
		return nil, err
	}
	key := logKey(drv)
	obj, err := c.bucket.Get(ctx, key, blob.GetOptions{})
	if err != nil {
		return nil, err
	}
	r, err := c.decodeObject(key, obj.Attrs, obj.Body, codec.ReaderOptions{})
	if err != nil {
		obj.Body.Close()
		return nil, err
	}
	return &decodedBody{r, obj.Body}, nil
}

// decodedBody closes the decoder and what it reads from.
type decodedBody struct {
	io.ReadCloser
	body io.Closer
}

func (d *decodedBody) Close() error { return errors.Join(d.ReadCloser.Close(), d.body.Close()) }

// PutLog stores the build log of a derivation. It is read to its end first, so
// a log of any size is stored whole or not at all.
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
	_, err = io.Copy(w, log)
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	_, err = staged.Commit(logKey(drv), blob.PutOptions{ContentType: logType, ContentEncoding: codec.ContentEncoding(name)})
	return err
}

// Realisation returns what a derivation's output was realised to.
func (c *Cache) Realisation(ctx context.Context, id narinfo.DrvOutput) (*narinfo.Realisation, error) {
	if _, err := c.describe(ctx); err != nil {
		return nil, err
	}
	data, _, err := c.getSmall(ctx, id.Key(), realisationLimit)
	if err != nil {
		return nil, err
	}
	return narinfo.ParseRealisation(id, data)
}

// PutRealisation stores a realisation, signed by the cache's signers too.
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
	if len(data) > realisationLimit {
		return fmt.Errorf("realisation %v has %d bytes, at most %d are read", r.ID, len(data), realisationLimit)
	}
	_, err = c.bucket.Put(ctx, r.ID.Key(), bytes.NewReader(data), blob.PutOptions{ContentType: jsonType})
	return err
}
