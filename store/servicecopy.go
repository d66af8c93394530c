package store

import (
	"context"
	"errors"
	"slices"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/naming"
	"example.com/nixs3/store/layout"
)

// PrepareCopy is Prepare for an archive of another cache, which the service of
// both buckets copies. It trusts the narinfo that the archive has its NarHash. It
// fails with errors.ErrUnsupported if the service cannot copy the archive, or if
// this process would have to read it.
func (c *Cache) PrepareCopy(ctx context.Context, src Source, file *narinfo.NarInfo, opts AddOptions) (Pending, error) {
	from, ok := src.(interface{ Bucket() blob.Bucket })
	copier, ok2 := blob.As[blob.Copier](c.bucket)
	if !ok || !ok2 || !c.keeps(file.Compression) || c.settings.WriteListing || c.settings.IndexDebugInfo ||
		file.FileHash.Algorithm() != nixhash.SHA256 || file.FileSize <= 0 {
		return nil, errors.ErrUnsupported
	}
	key, err := layout.ReferenceKey(file.URL)
	if err != nil {
		return nil, errors.ErrUnsupported
	}
	if t, ok := src.(TrustingSource); ok {
		if _, err := t.Trust(&file.PathInfo); err != nil {
			return nil, err
		}
	}
	claims, err := c.checkClaims(&file.PathInfo)
	if err != nil {
		return nil, err
	}
	if err := c.ensureDescribed(ctx); err != nil {
		return nil, err
	}
	info := &narinfo.NarInfo{PathInfo: *claims, URL: layout.ArchiveKey(file.FileHash, file.Compression),
		Compression: file.Compression, FileHash: file.FileHash, FileSize: file.FileSize}
	vouched, err := c.vouched(ctx, info, opts.Session)
	if err != nil {
		return nil, err
	}
	if opts.Repair || !vouched {
		attrs, err := copier.CopyFrom(ctx, info.URL, from.Bucket(), key, blob.PutOptions{ContentType: layout.Archive.ContentType()})
		if refusesWrite(err) {
			has, herr := c.hasArchive(ctx, info, opts.Session)
			if herr != nil || !has {
				return nil, errors.Join(err, herr)
			}
			attrs.Size, err = info.FileSize, nil
		}
		switch {
		case err != nil:
			return nil, err
		case attrs.Size != info.FileSize:
			return nil, &SizeMismatchError{Path: info.Path, Key: file.URL, Field: "FileSize", Wanted: info.FileSize, Got: attrs.Size}
		}
	}
	if err := info.Sign(ctx, slices.Concat(c.settings.Signers, opts.Signers)...); err != nil {
		return nil, naming.Error("signing "+info.Path.String(), info.Path.String(), err)
	}
	return &pending{cache: c, opts: opts, info: info}, nil
}
