package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"sync"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// askFirst is the size in bytes from which it pays to ask whether an archive is
// there before it is sent. A smaller one is sent on condition that it is not.
const askFirst = 64 << 10

// An archive counts as stored when its bytes are known: this process has sent
// or read them, or the store vouches for them by a SHA-256 checksum. That an
// object has the right key and size says nothing: file systems and servers that
// crash leave zeros of the right size, and uploaders may have been broken.

// putArchive gives a staged archive its key. It sends nothing where the cache
// is known to have the archive. A store that refuses to overwrite it is as good,
// if it has the right bytes.
func (c *Cache) putArchive(ctx context.Context, staged blob.Staged, info *narinfo.NarInfo, add AddOptions) error {
	digest := [32]byte(info.FileHash.Digest())
	opts := blob.PutOptions{ContentType: layout.Archive.ContentType(), SHA256: &digest}
	if !add.Repair {
		switch ask := info.FileSize >= askFirst || c.stored.has(info.URL); {
		case c.stages():
			// The bytes are in the bucket already, and need but a name.
		case ask && c.vouched(ctx, info, add.Session):
			return nil
		case !ask:
			opts.IfNoneMatch = true
		}
	}
	_, err := staged.Commit(info.URL, opts)
	if opts.IfNoneMatch && errors.Is(err, blob.ErrPrecondition) {
		if c.vouched(ctx, info, add.Session) {
			return nil
		}
		opts.IfNoneMatch = false
		_, err = staged.Commit(info.URL, opts)
	}
	if refusesWrite(err) && c.hasArchive(ctx, info, add.Session) {
		c.settings.Logger.DebugContext(ctx, "the store keeps the archive that it has", "bucket", c.String(), "key", info.URL, "error", err)
		err = nil
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
// object. Stores use several answers for it, the one for missing rights too.
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
// without reading them. Failures count as no: then the archive is sent.
func (c *Cache) vouched(ctx context.Context, info *narinfo.NarInfo, s *Session) bool {
	return c.found(ctx, s, info.URL, func() bool { return c.isVouched(ctx, info) })
}

// found reports what look says of an archive. Where the writer may not rely on
// it yet, look is asked again after the announcement that allows it.
func (c *Cache) found(ctx context.Context, s *Session, archive string, look func() bool) bool {
	if !look() {
		return false
	}
	keeps, err := s.keeps(ctx, archive)
	return err == nil && (keeps || look())
}

func (c *Cache) isVouched(ctx context.Context, info *narinfo.NarInfo) bool {
	attrs, err := c.bucket.Head(ctx, info.URL)
	if err != nil || attrs.Size != info.FileSize {
		return false
	}
	if c.settings.TrustSizes || c.stored.has(info.URL) {
		return true
	}
	return attrs.SHA256 != nil && *attrs.SHA256 == [32]byte(info.FileHash.Digest())
}

// hasArchive is vouched, but reads the archive where nothing vouches for it.
func (c *Cache) hasArchive(ctx context.Context, info *narinfo.NarInfo, s *Session) bool {
	return c.found(ctx, s, info.URL, func() bool { return c.isVouched(ctx, info) || c.reads(ctx, info) })
}

// reads reports whether the archive that the cache has is that of the narinfo.
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

// maxStoredKeys bounds the keys that a cache remembers, about 100 bytes each.
const maxStoredKeys = 1 << 16

// storedKeys remembers the archives whose bytes this process has stored. That
// they are still there is asked anew each time.
type storedKeys struct {
	mu   sync.Mutex
	keys map[string]struct{}
}

func (s *storedKeys) add(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil || len(s.keys) >= maxStoredKeys {
		s.keys = map[string]struct{}{}
	}
	s.keys[key] = struct{}{}
}

func (s *storedKeys) has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.keys[key]
	return ok
}
