package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
)

const (
	narInfoSuffix = ".narinfo"
	listingSuffix = ".ls"
)

// narInfoKey is the key of the narinfo with a hash part.
func narInfoKey(hashPart string) string { return hashPart + narInfoSuffix }

// PathInfo returns what the path's narinfo says of the path itself.
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
	return &blob.Error{Op: "Get", Bucket: c.String(), Key: narInfoKey(p.HashPart()), Err: ErrNotFound,
		Hint: fmt.Sprintf("the cache has %s under the hash part of %s", info.Path, p)}
}

// NarInfoByHash returns the narinfo with a hash part.
func (c *Cache) NarInfoByHash(ctx context.Context, hashPart string) (*narinfo.NarInfo, error) {
	if err := storepath.CheckHashPart(hashPart); err != nil {
		return nil, err
	}
	info, err := c.listedNarInfo(ctx, hashPart)
	return info, c.deniedIsMissing(ctx, hashPart, err)
}

// listedNarInfo is NarInfoByHash for a hash part that was listed: if access to
// it is denied, that is not since there is none.
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

// deniedIsMissing makes the denied access to a narinfo that there may not be
// an ErrNotFound. See missing.
func (c *Cache) deniedIsMissing(ctx context.Context, hashPart string, err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || !c.missing(ctx, err) {
		return err
	}
	return &blob.Error{Op: "Get", Bucket: c.String(), Key: narInfoKey(hashPart), Err: ErrNotFound,
		Hint: "the server denied access, which S3 does for a missing key without s3:ListBucket"}
}

// readNarInfo reads a narinfo from the bucket, with the attributes of its
// object.
func (c *Cache) readNarInfo(ctx context.Context, hashPart string) (*narinfo.NarInfo, blob.Attrs, error) {
	if _, err := c.describe(ctx); err != nil {
		return nil, blob.Attrs{}, err
	}
	key := narInfoKey(hashPart)
	text, attrs, err := c.getSmall(ctx, key, narInfoLimit)
	if err != nil {
		return nil, attrs, err
	}
	info, err := narinfo.Parse(text)
	if err != nil {
		return nil, attrs, fmt.Errorf("%s in %s: %w", key, c, err)
	}
	if info.StoreDir != c.settings.StoreDir {
		return nil, attrs, fmt.Errorf("%s in %s: %w: it is of %s, wanted %s", key, c, ErrStoreDir, info.StoreDir, c.settings.StoreDir)
	}
	if info.Path.HashPart() != hashPart {
		return nil, attrs, fmt.Errorf("%s in %s: %w: it is the narinfo of %s", key, c, ErrMismatch, info.Path)
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

// HashParts yields the hash part of every path in byte order.
func (c *Cache) HashParts(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if _, err := c.describe(ctx); err != nil {
			yield("", err)
			return
		}
		for attrs, err := range c.bucket.List(ctx, blob.ListOptions{Shallow: true}) {
			if err != nil {
				yield("", err)
				return
			}
			hashPart, ok := strings.CutSuffix(attrs.Key, narInfoSuffix)
			if !ok || storepath.CheckHashPart(hashPart) != nil {
				continue
			}
			if !yield(hashPart, nil) {
				return
			}
		}
	}
}

// NarInfos yields every narinfo, in no particular order. It reads as many at a
// time as the budget has requests.
func (c *Cache) NarInfos(ctx context.Context) iter.Seq2[*narinfo.NarInfo, error] {
	return mapSeq(ctx, c.settings.Budget.Requests, c.HashParts(ctx), c.listedNarInfo)
}

// AllPaths yields every path, in no particular order. The names are in the
// narinfos only, so that it reads each; HashParts does not.
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

// Delete makes paths invisible.
func (c *Cache) Delete(ctx context.Context, paths ...storepath.Path) error {
	if _, err := c.describe(ctx); err != nil {
		return err
	}
	// The narinfos go in a request before the listings: what is left when this
	// is interrupted is unreferenced.
	for _, suffix := range []string{narInfoSuffix, listingSuffix} {
		keys := make([]string, len(paths))
		for i, p := range paths {
			c.infos.forget(p.HashPart())
			keys[i] = p.HashPart() + suffix
		}
		if err := c.bucket.Delete(ctx, keys...); err != nil {
			return err
		}
	}
	return nil
}

// signAttempts is how often AddSignatures begins anew when somebody else
// changes the narinfo in between.
const signAttempts = 8

// AddSignatures adds the signers' signatures to those that a path has. Several
// may do so at once without losing any, where the bucket keeps IfMatch.
func (c *Cache) AddSignatures(ctx context.Context, p storepath.Path, signers ...narinfo.Signer) (*narinfo.NarInfo, error) {
	var lastErr error
	for range signAttempts {
		info, attrs, err := c.readNarInfo(ctx, p.HashPart())
		if err != nil {
			return nil, c.deniedIsMissing(ctx, p.HashPart(), err)
		}
		if info.Path != p {
			return nil, c.otherPath(p, info)
		}
		before := len(info.Signatures)
		if err := info.Sign(ctx, signers...); err != nil {
			return nil, err
		}
		if len(info.Signatures) == before {
			return info, nil
		}
		lastErr = c.putNarInfo(ctx, info, blob.PutOptions{IfMatch: attrs.ETag})
		if !errors.Is(lastErr, blob.ErrPrecondition) {
			return info, lastErr
		}
	}
	return nil, lastErr
}

// putNarInfo makes a narinfo visible. Nothing else does.
func (c *Cache) putNarInfo(ctx context.Context, info *narinfo.NarInfo, opts blob.PutOptions) error {
	text, err := info.MarshalText()
	if err != nil {
		return err
	}
	if err := checkReadable(info, text); err != nil {
		return err
	}
	opts.ContentType = narInfoType
	c.infos.forget(info.Path.HashPart())
	_, err = c.putSmall(ctx, narInfoKey(info.Path.HashPart()), text, c.settings.NarInfoCompression, opts)
	return err
}

// checkReadable refuses a narinfo that the readers' bounds would hide: what
// cannot be read could not be mended either.
func checkReadable(info *narinfo.NarInfo, text []byte) error {
	if len(text) > narInfoLimit {
		return fmt.Errorf("narinfo of %s has %d bytes, at most %d are read", info.Path, len(text), narInfoLimit)
	}
	if _, err := narinfo.Parse(text); err != nil {
		return fmt.Errorf("narinfo of %s could not be read again: %w", info.Path, err)
	}
	return nil
}
