package store

import (
	"context"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
)

// StoredNarInfo is a narinfo as one version of its object has it.
type StoredNarInfo struct {
	*narinfo.NarInfo
	Attrs blob.Attrs // of the object
}

// ReadNarInfo reads the narinfo with a hash part from the bucket, whatever is
// remembered of it, for [Cache.ReplaceNarInfo].
func (c *Cache) ReadNarInfo(ctx context.Context, hashPart string) (StoredNarInfo, error) {
	info, attrs, err := c.readNarInfo(ctx, hashPart)
	return StoredNarInfo{info, attrs}, c.deniedIsMissing(ctx, hashPart, err)
}

// ReplaceNarInfo stores a narinfo in place of the version that was read. Where
// another writer has changed it since, the error is blob.ErrPrecondition and
// nothing changes, if the bucket supports IfMatch: servers exist that ignore
// it. An empty Attrs.ETag replaces any version.
func (c *Cache) ReplaceNarInfo(ctx context.Context, info StoredNarInfo) error {
	return c.putNarInfo(ctx, info.NarInfo, blob.PutOptions{IfMatch: info.Attrs.ETag})
}
