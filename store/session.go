package store

import (
	"context"
	"errors"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/lease"
)

// Session is a writer at work on a cache, as the garbage collectors of the cache
// see it: they spare the paths that it publishes or relies on. It is safe for
// concurrent use.
type Session struct{ lease *lease.Session }

// Sessions is a Destination whose writers announce themselves. Copy does, before
// it asks what the destination has.
type Sessions interface {
	Begin(ctx context.Context, paths ...storepath.Path) (*Session, error)
}

// Begin announces a writer of the paths, and of all that they refer to if that
// is among them, and waits for the end of a running sweep. The writer may rely
// only on answers of the cache that it gets after that. If the cache is not under
// collection, Begin costs one request. The caller ends the session, and passes it
// on in AddOptions.Session. Additions without a session begin their own.
func (c *Cache) Begin(ctx context.Context, paths ...storepath.Path) (*Session, error) {
	return c.begin(ctx, paths, nil)
}

// BeginStored is Begin for a writer that relies on the archive and the
// references of a narinfo. After it, the writer asks whether they are there.
func (c *Cache) BeginStored(ctx context.Context, info *narinfo.NarInfo) (*Session, error) {
	return c.begin(ctx, append([]storepath.Path{info.Path}, info.References...), []string{info.URL})
}

func (c *Cache) begin(ctx context.Context, paths []storepath.Path, archives []string) (*Session, error) {
	hashParts := make([]string, len(paths))
	for i, p := range paths {
		hashParts[i] = p.HashPart()
	}
	l, err := c.writers.Begin(ctx, hashParts, archives)
	if err != nil {
		return nil, err
	}
	return &Session{l}, nil
}

// End ends the session. After a failure the collectors still spare its paths
// for a while, since requests may be on their way.
func (s *Session) End(ctx context.Context, failure error) {
	if s != nil {
		s.lease.End(ctx, failure)
	}
}

// Leased reports whether the cache is under collection, so that what was found
// before the session began may be gone. It is false for a nil Session.
func (s *Session) Leased() bool { return s != nil && s.lease.Leased() }

// keeps reports whether the writer may rely on an archive that it has found, or
// overwrite it. If not, keeps announces the archive; the writer may use it after
// it has asked for it again.
func (s *Session) keeps(ctx context.Context, archive string) (bool, error) {
	if s == nil || s.lease.Covers(archive) {
		return true, nil
	}
	return false, s.lease.Rely(ctx, nil, []string{archive})
}

// claim announces an archive before it is overwritten, where the cache has one
// with the key: a collector knows the old one, and may be about to delete it.
func (c *Cache) claim(ctx context.Context, s *Session, archive string) error {
	if s == nil || s.lease.Covers(archive) {
		return nil
	}
	if _, err := c.bucket.Head(ctx, archive); errors.Is(err, ErrNotFound) {
		return nil
	}
	_, err := s.keeps(ctx, archive)
	return err
}
