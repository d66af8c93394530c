package localstore

import (
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

// Log opens the build log of a derivation, decompressed. It fails with
// [store.ErrNotFound] if the store does not have it. The caller closes the log.
func (s *Store) Log(ctx context.Context, drv storepath.Path) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	base := drv.String()
	if drv.IsZero() {
		return nil, fmt.Errorf("build log in %s: %w", s, store.ErrNotFound)
	}
	name := filepath.Join(s.opts.LogDir, "drvs", base[:2], base[2:])
	f, err := openRegular(name + ".bz2")
	if err == nil {
		return struct {
			io.Reader
			io.Closer
		}{bzip2.NewReader(f), f}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		f, err = openRegular(name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("build log of %s in %s: %w", drv, s, store.ErrNotFound)
	case err != nil:
		return nil, err
	}
	return f, nil
}

// openRegular opens a regular file. Opening a pipe would wait for its writer.
func openRegular(name string) (*os.File, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return os.Open(name)
}

// Logs yields the derivations that have a build log, sorted by their names. It
// ignores files with other names.
func (s *Store) Logs(ctx context.Context) iter.Seq2[storepath.Path, error] {
	return func(yield func(storepath.Path, error) bool) {
		dir := filepath.Join(s.opts.LogDir, "drvs")
		folders, err := os.ReadDir(dir)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				yield(storepath.Path{}, err)
			}
			return
		}
		for _, folder := range folders {
			files, err := os.ReadDir(filepath.Join(dir, folder.Name()))
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				yield(storepath.Path{}, err)
				return
			}
			for _, file := range files {
				drv, err := storepath.ParseBase(folder.Name() + strings.TrimSuffix(file.Name(), ".bz2"))
				if err == nil && !yield(drv, nil) {
					return
				}
			}
		}
	}
}
