package store

import (
	"context"
	"errors"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/blob"
)

// prepareCopy has the bucket's service copy an archive of another cache. It
// returns nothing where that cannot be, and the archive has to be read.
func (c *Cache) prepareCopy(ctx context.Context, src *Cache, file *narinfo.NarInfo, opts AddOptions) (Pending, error) {
	copier, ok := blob.As[blob.Copier](c.bucket.Bucket)
	if !ok || !c.keeps(file.Compression) || c.settings.WriteListing || c.settings.IndexDebugInfo ||
		file.FileHash.Algorithm() != nixhash.SHA256 || file.FileSize <= 0 {
		return nil, nil
	}
	from, err := refKey(file.URL)
	if err != nil {
		return nil, nil
	}
	if err := src.trust(&file.PathInfo); err != nil {
		return nil, err
	}
	claims, err := c.checkClaims(&file.PathInfo)
	if err != nil {
		return nil, err
	}
	if err := c.ensureDescribed(ctx); err != nil {
		return nil, err
	}
	info := &narinfo.NarInfo{PathInfo: *claims, URL: archiveKey(file.FileHash, file.Compression),
		Compression: file.Compression, FileHash: file.FileHash, FileSize: file.FileSize}
	if attrs, err := c.bucket.Head(ctx, info.URL); err != nil || attrs.Size != info.FileSize || opts.Repair {
		c.bucket.puts.Add(1)
		attrs, err := copier.CopyFrom(ctx, info.URL, src.bucket.Bucket, from, blob.PutOptions{ContentType: narType})
		if errors.Is(err, errors.ErrUnsupported) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if attrs.Size != info.FileSize {
			return nil, &SizeMismatchError{Path: info.Path, Key: file.URL, Field: "FileSize", Wanted: info.FileSize, Got: attrs.Size}
		}
	}
	p, err := c.sign(ctx, info, opts)
	if err != nil {
		return nil, err
	}
	return p, nil
}
