package fileblob

import (
	"context"
	"io/fs"
	"iter"
	"path"
	"strings"

	"example.com/nixs3/store/blob"
)

// List yields the objects in byte order of their keys. It holds the names of
// one folder, and of those above it, in memory. A symbolic link to a file is an
// object; one to a folder is not followed.
func (b *Bucket) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		if err := b.ready(false); err != nil {
			yield(blob.Attrs{}, b.error("List", opts.Prefix, err))
			return
		}
		w := &walk{bucket: b, ctx: ctx, opts: opts, yield: yield}
		dir := path.Dir(opts.Prefix + "x")
		if !fs.ValidPath(dir) {
			return // no key begins like that
		}
		if err := w.folder(dir); err != nil && err != fs.SkipAll {
			yield(blob.Attrs{}, b.error("List", opts.Prefix, err))
		}
	}
}

// walk is one run of List.
type walk struct {
	bucket *Bucket
	ctx    context.Context
	opts   blob.ListOptions
	yield  func(blob.Attrs, error) bool
}

// folder yields the objects in and below a folder. It returns fs.SkipAll when
// the caller stops.
func (w *walk) folder(dir string) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	entries, err := w.bucket.readFolder(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		if err := w.entry(path.Join(dir, e.name), e.mode); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(key string, mode fs.FileMode) error {
	if mode.IsDir() {
		if !w.descends(key + "/") {
			return nil
		}
		return w.folder(key)
	}
	if !w.opts.Selects(key) || checkKey(key) != nil {
		return nil
	}
	a, err := w.bucket.stat(key)
	if isMissing(err) || err != nil && mode&fs.ModeSymlink != 0 {
		return nil // removed in the meantime, or a link to no object
	}
	if err != nil {
		return err
	}
	if !w.yield(a, nil) {
		return fs.SkipAll
	}
	return nil
}

// descends reports whether a key that begins with dir, which ends in a slash,
// may be selected.
func (w *walk) descends(dir string) bool {
	below := strings.HasPrefix(dir, w.opts.Prefix)
	if below && w.opts.Shallow {
		return false
	}
	if !below && !strings.HasPrefix(w.opts.Prefix, dir) {
		return false
	}
	return dir > w.opts.StartAfter || strings.HasPrefix(w.opts.StartAfter, dir)
}
