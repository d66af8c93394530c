package store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/layout"
)

// PathInfo returns the description of the path in its narinfo.
func (c *Cache) PathInfo(ctx context.Context, p storepath.Path) (*narinfo.PathInfo, error) {
	info, err := c.NarInfo(ctx, p)
	if err != nil {
		return nil, err
	}
	return &info.PathInfo, nil
}

// NarInfo returns the narinfo of a path.
func (c *Cache) NarInfo(ctx context.Context, p storepath.Path) (*narinfo.NarInfo, error) {
	info, err := c.NarInfoByHash(ctx, p.HashPart())
	if err != nil {
		return nil, err
	}
	if info.Path != p {
		return nil, c.otherPath(p, info)
	}
	return info, nil
}

func (c *Cache) otherPath(p storepath.Path, info *narinfo.NarInfo) error {
	return &blob.Error{Op: "Get", Bucket: c.String(), Key: layout.NarInfoKey(p.HashPart()), Err: ErrNotFound,
		Hint: fmt.Sprintf("the cache has %s under the hash part of %s", info.Path, p)}
}

// NarInfoByHash returns the narinfo with a hash part.
func (c *Cache) NarInfoByHash(ctx context.Context, hashPart string) (*narinfo.NarInfo, error) {
	if err := storepath.ValidateHashPart(hashPart); err != nil {
		return nil, err
	}
	if err := c.lacks(ctx, hashPart); err != nil {
		return nil, err
	}
	return c.askNarInfo(ctx, hashPart)
}

// askNarInfo is NarInfoByHash without the index of paths.
func (c *Cache) askNarInfo(ctx context.Context, hashPart string) (*narinfo.NarInfo, error) {
	info, err := c.listedNarInfo(ctx, hashPart)
	return info, c.deniedIsMissing(ctx, hashPart, err)
}

// listedNarInfo is NarInfoByHash for a hash part that was listed. Denied access
// does not mean there that the narinfo is missing.
func (c *Cache) listedNarInfo(ctx context.Context, hashPart string) (*narinfo.NarInfo, error) {
	if info := c.infos.get(hashPart); info != nil {
		return info, nil
	}
	info, _, err := c.readNarInfo(ctx, hashPart)
	if err == nil {
		c.infos.put(hashPart, info)
	}
	return info, err
}

// deniedIsMissing turns denied access to a narinfo into ErrNotFound where it may
// mean that; see missing.
func (c *Cache) deniedIsMissing(ctx context.Context, hashPart string, err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || !c.missing(ctx, err) {
		return err
	}
	return &blob.Error{Op: "Get", Bucket: c.String(), Key: layout.NarInfoKey(hashPart), Err: ErrNotFound,
		Hint: "the server denied access, which S3 does for a missing key without s3:ListBucket"}
}

// readNarInfo reads a narinfo from the bucket, with the attributes of its
// object.
func (c *Cache) readNarInfo(ctx context.Context, hashPart string) (*narinfo.NarInfo, blob.Attrs, error) {
	if _, err := c.describe(ctx); err != nil {
		return nil, blob.Attrs{}, err
	}
	key := layout.NarInfoKey(hashPart)
	text, attrs, err := c.getSmall(ctx, key, layout.NarInfo.Limit())
	if err != nil {
		return nil, attrs, err
	}
	info, err := narinfo.Parse(text)
	if err != nil {
		return nil, attrs, fmt.Errorf("%s in %s: %w", key, c, err)
	}
	if info.StoreDir != c.settings.StoreDir {
		return nil, attrs, fmt.Errorf("%s in %s: %w: expected %s, got %s", key, c, ErrStoreDir, c.settings.StoreDir, info.StoreDir)
	}
	if info.Path.HashPart() != hashPart {
		return nil, attrs, fmt.Errorf("%s in %s: %w: got the narinfo of %s", key, c, ErrMismatch, info.Path)
	}
	return info, attrs, nil
}

// Has reports whether the path is in the cache.
func (c *Cache) Has(ctx context.Context, p storepath.Path) (bool, error) {
	_, err := c.NarInfo(ctx, p)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// hasNow is Has without the narinfos that are remembered and the index of paths.
func (c *Cache) hasNow(ctx context.Context, p storepath.Path) (bool, error) {
	c.infos.forget(p.HashPart())
	info, err := c.askNarInfo(ctx, p.HashPart())
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && info.Path == p, err
}

// NarInfos yields every narinfo, in no particular order. It reads as many at a
// time as the budget allows requests.
func (c *Cache) NarInfos(ctx context.Context) iter.Seq2[*narinfo.NarInfo, error] {
	return flow.Map(ctx, c.settings.Budget.Requests, c.HashParts(ctx), c.listedNarInfo)
}

// AllPaths yields every path, in no particular order. It reads every narinfo,
// since only narinfos have the names; HashParts does not.
func (c *Cache) AllPaths(ctx context.Context) iter.Seq2[storepath.Path, error] {
	return func(yield func(storepath.Path, error) bool) {
		for info, err := range c.NarInfos(ctx) {
			var p storepath.Path
			if err == nil {
				p = info.Path
			}
			if !yield(p, err) {
				return
			}
		}
	}
}
