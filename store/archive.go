package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// askFirst is the size in bytes from which asking whether an archive is there
// before sending it pays. A smaller one is sent on condition that it is absent.
const askFirst = 64 << 10

// An archive counts as stored when its bytes are known: this process has sent
// or read them, or the store vouches for them by a SHA-256 checksum. The right
// key and size prove nothing: file systems and servers that crash leave zeros of
// the right size, and an uploader may have been broken.

// putArchive gives a staged archive its key. It sends nothing if the cache is
// known to have the archive. It succeeds if the store refuses to overwrite an
// archive with the right bytes.
func (c *Cache) putArchive(ctx context.Context, staged blob.Staged, info *narinfo.NarInfo, add AddOptions) error {
	digest := [32]byte(info.FileHash.Digest())
	opts := blob.PutOptions{ContentType: layout.Archive.ContentType(), SHA256: &digest}
	ask := info.FileSize >= askFirst || c.stored.has(info.URL)
	switch {
	case add.Repair || c.stages():
		// The bytes have to be stored again, or are in the bucket and only need
		// a name.
		if err := c.claim(ctx, add.Session, info.URL); err != nil {
			return err
		}
	case ask:
		if vouched, err := c.vouched(ctx, info, add.Session); vouched || err != nil {
			return err
		}
	default:
		opts.IfNoneMatch = true
	}
	_, err := staged.Commit(info.URL, opts)
	if opts.IfNoneMatch && errors.Is(err, blob.ErrPrecondition) {
		if vouched, err := c.vouched(ctx, info, add.Session); vouched || err != nil {
			return err
		}
		opts.IfNoneMatch = false
		_, err = staged.Commit(info.URL, opts)
	}
	if refusesWrite(err) {
		has, herr := c.hasArchive(ctx, info, add.Session)
		if herr != nil {
			return herr
		}
		if has {
			c.settings.Logger.DebugContext(ctx, "the store keeps the archive that it has", "bucket", c.String(), "key", info.URL, "error", err)
			err = nil
		}
	}
	if err == nil {
		c.stored.add(info.URL)
	}
	return err
}

// stages reports whether the bucket takes bytes before they have a key.
func (c *Cache) stages() bool {
	_, ok := blob.As[blob.Stager](c.bucket)
	return ok
}

// refusesWrite reports whether an error is a store's refusal to overwrite an
// object. Stores answer with several codes, including that for missing rights.
func refusesWrite(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, blob.ErrPrecondition) || errors.Is(err, blob.ErrAccessDenied) || errors.Is(err, blob.ErrReadOnly) {
		return true
	}
	var be *blob.Error
	if !errors.As(err, &be) {
		return false
	}
	switch be.Status {
	case http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusConflict, http.StatusPreconditionFailed:
		return true
	}
	return false
}

// vouched reports whether the cache has an archive whose bytes are known
// without reading them. After a failure of the bucket it returns false, and the
// archive is sent. An error means that the writer may neither rely on an existing
// archive nor overwrite it.
func (c *Cache) vouched(ctx context.Context, info *narinfo.NarInfo, s *Session) (bool, error) {
	there, vouched := c.look(ctx, info)
	if !there {
		return false, nil
	}
	keeps, err := s.keeps(ctx, info.URL)
	if err != nil || keeps {
		return vouched && err == nil, err
	}
	_, vouched = c.look(ctx, info)
	return vouched, nil
}

// look reports whether the cache may have an object with the key of an archive,
// and whether its bytes are known without reading them.
func (c *Cache) look(ctx context.Context, info *narinfo.NarInfo) (there, vouched bool) {
	attrs, err := c.bucket.Head(ctx, info.URL)
	if err != nil {
		return !errors.Is(err, ErrNotFound), false
	}
	if attrs.Size != info.FileSize {
		return true, false
	}
	if c.settings.TrustSizes || c.stored.has(info.URL) {
		return true, true
	}
	return true, attrs.SHA256 != nil && *attrs.SHA256 == [32]byte(info.FileHash.Digest())
}

// hasArchive is vouched, but reads an archive that nothing vouches for.
func (c *Cache) hasArchive(ctx context.Context, info *narinfo.NarInfo, s *Session) (bool, error) {
	if vouched, err := c.vouched(ctx, info, s); vouched || err != nil {
		return vouched, err
	}
	return c.reads(ctx, info), nil
}

// reads reports whether the cache's archive is that of the narinfo.
func (c *Cache) reads(ctx context.Context, info *narinfo.NarInfo) bool {
	obj, err := c.bucket.Get(ctx, info.URL, blob.GetOptions{Verified: true})
	if err != nil {
		return false
	}
	defer obj.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(obj.Body, info.FileSize+1))
	return err == nil && n == info.FileSize && sha256Hash(h) == info.FileHash
}
