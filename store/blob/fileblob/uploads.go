package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"strings"

	"example.com/nixs3/store/blob"
)

// Uploads yields the temporary files of writes that go on or were killed. The
// key of such a write is not known: Key and ID are the path of the file.
func (b *Bucket) Uploads(ctx context.Context, prefix string) iter.Seq2[blob.Upload, error] {
	return func(yield func(blob.Upload, error) bool) {
		err := b.ready(false)
		if err == nil {
			err = b.uploads(ctx, ".", prefix, yield)
		}
		if err != nil && err != fs.SkipAll {
			yield(blob.Upload{}, b.error("Uploads", prefix, err))
		}
	}
}

func (b *Bucket) uploads(ctx context.Context, dir, prefix string, yield func(blob.Upload, error) bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entries, err := b.readFolder(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.name)
		if e.mode.IsDir() {
			if err := b.uploads(ctx, name, prefix, yield); err != nil {
				return err
			}
			continue
		}
		if !isTemp(e.name) || !strings.HasPrefix(name, prefix) {
			continue
		}
		info, err := b.root.Lstat(name)
		if isMissing(err) {
			continue // finished in the meantime
		}
		if err != nil {
			return err
		}
		if !yield(blob.Upload{Key: name, ID: name, Initiated: info.ModTime()}, nil) {
			return fs.SkipAll
		}
	}
	return nil
}

// AbortUpload removes a temporary file. A write that still uses it fails.
func (b *Bucket) AbortUpload(ctx context.Context, u blob.Upload) error {
	if ctx.Err() != nil {
		return b.error("AbortUpload", u.Key, context.Cause(ctx))
	}
	if !fs.ValidPath(u.ID) || !isTemp(path.Base(u.ID)) {
		return b.error("AbortUpload", u.Key, fmt.Errorf("%q is not a temporary file of a write", u.ID))
	}
	if err := b.ready(false); err != nil {
		return b.error("AbortUpload", u.Key, err)
	}
	if err := b.removeFile(u.ID); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b.error("AbortUpload", u.Key, err)
	}
	b.prune(path.Dir(u.ID))
	return nil
}
