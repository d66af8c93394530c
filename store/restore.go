package store

import (
	"context"
	"fmt"
	"io"
	"os"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/storepath"
)

// Restore fetches a path from a source and makes it on disk at dest, which must
// not exist yet. The archive is verified as it comes; when it turns out to be
// wrong, or anything else fails, what was made is removed again.
func Restore(ctx context.Context, src Source, p storepath.Path, dest string, opts ...nar.Option) error {
	r, err := src.NAR(ctx, p)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := nar.Restore(r, dest, opts...); err != nil {
		return fmt.Errorf("restoring %s: %w", p, err)
	}
	// The verdict on the hash comes behind the last byte.
	if err := drain(r); err != nil {
		if rerr := removeTree(dest); rerr != nil {
			err = fmt.Errorf("%w; and what was restored could not be removed: %w", err, rerr)
		}
		return fmt.Errorf("restoring %s: %w", p, err)
	}
	return nil
}

// drain reads to the end, where a source says whether all was well.
func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// removeTree removes a tree that may have read-only directories.
func removeTree(path string) error {
	root, err := os.OpenRoot(path)
	if err == nil {
		makeWritable(root, ".")
		root.Close()
	}
	return os.RemoveAll(path)
}

func makeWritable(root *os.Root, dir string) {
	_ = root.Chmod(dir, 0o755)
	f, err := root.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	entries, _ := f.ReadDir(-1)
	for _, e := range entries {
		if e.IsDir() {
			makeWritable(root, dir+"/"+e.Name())
		}
	}
}
