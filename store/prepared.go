package store

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"weak"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// stored is an archive that was prepared for a path.
type stored struct {
	info     *narinfo.NarInfo // never changed
	verified bool             // the NAR was looked at
}

// storedPaths knows the archives that were prepared for as long as those who
// did it have use for them. So copies that need the same path at a time send
// its archive once.
type storedPaths struct {
	mu     sync.Mutex
	byPath map[storepath.Path]weak.Pointer[stored]
}

func (s *storedPaths) add(a *stored) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byPath == nil {
		s.byPath = map[storepath.Path]weak.Pointer[stored]{}
	}
	s.byPath[a.info.Path] = weak.Make(a)
	runtime.AddCleanup(a, s.forget, a.info.Path)
}

// forget drops what nobody has use for any more.
func (s *storedPaths) forget(p storepath.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byPath[p].Value() == nil {
		delete(s.byPath, p)
	}
}

func (s *storedPaths) get(p storepath.Path) *stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byPath[p].Value()
}

// reuse makes a path of an archive that somebody else has prepared for it. It
// returns nil where there is none with the same claims.
func (c *Cache) reuse(ctx context.Context, info *narinfo.PathInfo, opts AddOptions) (*pending, error) {
	a := c.stored.get(info.Path)
	if a == nil || opts.Repair || opts.StrictContentAddress || !a.verified && !opts.TrustNarHash {
		return nil, nil
	}
	claims, err := c.checkClaims(info)
	if err != nil {
		return nil, err
	}
	theirs := a.info
	if claims.NarHash != theirs.NarHash || claims.NarSize != theirs.NarSize || claims.CA != theirs.CA ||
		!slices.Equal(claims.References, theirs.References) {
		return nil, nil
	}
	// It may have been collected since, as nothing refers to it yet.
	if attrs, err := c.bucket.Head(ctx, theirs.URL); err != nil || attrs.Size != theirs.FileSize {
		return nil, nil
	}
	ours := *theirs
	ours.PathInfo = *claims
	p, err := c.sign(ctx, &ours, opts)
	if err == nil {
		p.stored = a
	}
	return p, err
}
