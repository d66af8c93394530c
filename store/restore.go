package store

import (
	"context"
	"fmt"
	"io"
	"slices"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/storepath"
)

// Restore fetches a path from a source and makes it on disk at dest, which must
// not exist yet. The archive is verified as it comes; when it turns out to be
// wrong, or anything else fails, what was made is removed again.
func Restore(ctx context.Context, src Source, p storepath.Path, dest string, opts ...nar.RestoreOption) error {
	r, err := src.NAR(ctx, p)
	if err != nil {
		return err
	}
	defer r.Close()
	// The verdict on the hash comes behind the last byte.
	if err := nar.Restore(r, dest, append(slices.Clone(opts), nar.WithWholeReader())...); err != nil {
		return fmt.Errorf("restoring %s: %w", p, err)
	}
	return nil
}

// drain reads to the end, where a source says whether all was well.
func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
