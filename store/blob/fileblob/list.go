package fileblob

import (
	"context"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"example.com/nixs3/store/blob"
)

// List yields the objects in byte order of their keys. It holds the names of
// one folder, and of those above it, in memory. Symbolic links to files are
// objects; those to folders are not followed.
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

// folder yields what lies in and below a folder. It returns fs.SkipAll when
// the caller has enough.
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
		return nil // removed meanwhile, or a link to no object
	}
	if err != nil {
		return err
	}
	if !w.yield(a, nil) {
		return fs.SkipAll
	}
	return nil
}

// descends tells whether a key may be selected that begins with dir, which
// ends in a slash.
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

// entry is a file or a folder in a folder.
type entry struct {
	name string
	mode fs.FileMode // only the type
}

// key is the name as it takes part in the order of keys: that of a folder goes
// on with a slash.
func (e entry) key() string {
	if e.mode.IsDir() {
		return e.name + "/"
	}
	return e.name
}

// readFolder returns what a folder holds, in the order of the keys. A missing
// folder holds nothing.
func (b *Bucket) readFolder(dir string) ([]entry, error) {
	f, err := b.root.Open(dir)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found, err := f.ReadDir(-1)
	if err != nil && !isMissing(err) {
		return nil, err
	}
	entries := make([]entry, len(found))
	for i, d := range found {
		entries[i] = entry{d.Name(), d.Type()}
	}
	slices.SortFunc(entries, func(x, y entry) int { return strings.Compare(x.key(), y.key()) })
	return entries, nil
}
