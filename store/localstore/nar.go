package localstore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

var _ store.UnverifiedSource = (*Store)(nil)

// NAR opens the archive of a path. It is made from the contents on disk, and
// verified against the database while it is read. [io.Copy] writes it directly to
// its destination. The caller closes it.
func (s *Store) NAR(ctx context.Context, p storepath.Path) (io.ReadCloser, error) {
	return s.open(ctx, p, func(w io.Writer, info *narinfo.PathInfo, file string) error {
		v := &verifier{ctx: ctx, w: w, info: info, file: file, h: sha256.New()}
		if err := nar.Dump(v, file); err != nil {
			return err
		}
		return v.finish()
	})
}

// UnverifiedNAR is NAR without the verification; see [store.UnverifiedSource].
func (s *Store) UnverifiedNAR(ctx context.Context, p storepath.Path) (io.ReadCloser, error) {
	return s.open(ctx, p, func(w io.Writer, _ *narinfo.PathInfo, file string) error { return nar.Dump(w, file) })
}

func (s *Store) open(ctx context.Context, p storepath.Path, dump func(w io.Writer, info *narinfo.PathInfo, file string) error) (io.ReadCloser, error) {
	info, err := s.PathInfo(ctx, p)
	if err != nil {
		return nil, err
	}
	file := s.Physical(p)
	if _, err := os.Lstat(file); err != nil {
		return nil, fmt.Errorf("%s is valid in %s, but its contents are missing: %w", p, s, err)
	}
	return nar.NewDumpReader(ctx, func(w io.Writer) error { return dump(w, info, file) }), nil
}

// verifier forwards an archive and compares it with its description. Dump reads
// the disk in another goroutine, so hashing here does not delay it.
type verifier struct {
	ctx  context.Context
	w    io.Writer
	info *narinfo.PathInfo
	file string
	h    hash.Hash
	n    int64
}

func (v *verifier) Write(p []byte) (int, error) {
	if err := context.Cause(v.ctx); err != nil {
		return 0, err
	}
	v.n += int64(len(p))
	if v.n > v.info.NarSize {
		return 0, v.wrongSize()
	}
	v.h.Write(p)
	return v.w.Write(p)
}

func (v *verifier) finish() error {
	if v.n != v.info.NarSize {
		return v.wrongSize()
	}
	if got := nixhash.FromSHA256([32]byte(v.h.Sum(nil))); got != v.info.NarHash {
		return &store.HashMismatchError{Path: v.info.Path, Key: v.file, Field: "NarHash", Wanted: v.info.NarHash, Got: got}
	}
	return nil
}

func (v *verifier) wrongSize() error {
	return &store.SizeMismatchError{Path: v.info.Path, Key: v.file, Field: "NarSize", Wanted: v.info.NarSize, Got: v.n}
}
