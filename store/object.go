package store

import (
	"context"
	"fmt"
	"slices"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/naming"
	"example.com/nixs3/store/layout"
)

// ReadObject returns the bytes of a small object of the cache, without its
// Content-Encoding, and its attributes as stored. It fails with ErrNotFound for
// a key whose kind has no limit (see [layout.Kind.Limit]), and for a narinfo or
// a listing to which S3 denies access because it does not exist.
func (c *Cache) ReadObject(ctx context.Context, key string) ([]byte, blob.Attrs, error) {
	kind := layout.KindOf(key)
	if kind.Limit() == 0 {
		return nil, blob.Attrs{}, &blob.Error{Op: "Get", Bucket: c.String(), Key: key, Err: ErrNotFound}
	}
	if hashPart, ok := layout.ParseNarInfoKey(key); ok {
		if err := c.lacks(ctx, hashPart); err != nil {
			return nil, blob.Attrs{}, err
		}
	}
	data, attrs, err := c.getSmall(ctx, key, kind.Limit())
	if err == nil || kind != layout.NarInfo && kind != layout.Listing || !c.missing(ctx, err) {
		return data, attrs, err
	}
	return nil, attrs, &blob.Error{Op: "Get", Bucket: c.String(), Key: key, Err: ErrNotFound}
}

// Stage opens a place for bytes whose key is not yet known. size is their
// expected number, 0 if unknown. The caller closes it.
func (c *Cache) Stage(ctx context.Context, size int64) (blob.Staged, error) {
	if err := c.ensureDescribed(ctx); err != nil {
		return nil, err
	}
	return c.stage(ctx, size)
}

// PublishStored signs a path and makes it visible. The caller vouches that the
// archive is stored under the narinfo's URL and is what the narinfo claims.
// Publishing fails with ErrMissingReference as [Pending] does, unless
// opts.ReferencesPresent. If the path is already visible, the result is the
// cache's narinfo.
func (c *Cache) PublishStored(ctx context.Context, info *narinfo.NarInfo, opts AddOptions) (*narinfo.NarInfo, error) {
	if err := c.ensureDescribed(ctx); err != nil {
		return nil, err
	}
	if info.StoreDir != c.settings.StoreDir {
		return nil, fmt.Errorf("%s: %w: expected a path of %s, got one of %s", info.Path, ErrStoreDir, c.settings.StoreDir, info.StoreDir)
	}
	info = info.Clone()
	if err := info.Sign(ctx, slices.Concat(c.settings.Signers, opts.Signers)...); err != nil {
		return nil, naming.Error("signing "+info.Path.String(), info.Path.String(), err)
	}
	p := &pending{cache: c, opts: opts, info: info}
	if err := p.Publish(ctx); err != nil {
		return nil, err
	}
	return p.info, nil
}
