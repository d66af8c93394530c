package nar

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Dump writes the NAR of a file, symbolic link or directory on disk to w. A
// symbolic link at path itself is not followed. A regular file is executable
// when its owner may execute it; nothing else of its mode counts. Anything but
// files, links and directories is an error, and so is a file whose size
// changes while it is read.
//
// Files are read by a goroutine of Dump's own while the calling one writes to
// w in pieces of up to 256 KiB, so a w that hashes or compresses does not wait
// for the disk. Memory is bounded by 1 MiB and the largest directory's names.
func Dump(w io.Writer, path string, opts ...Option) error {
	o, err := newOptions(false, opts)
	if err != nil {
		return err
	}
	return inBackground(w, func(out sink, buf []byte) error {
		root, err := openTree(path)
		if err != nil {
			return err
		}
		defer root.close()
		return dump(newWriter(out, buf), root, o)
	})
}

// DumpFS writes the NAR of a file, symbolic link or directory of fsys to w, as
// [Dump] does for the disk; "." is the root of fsys. Symbolic links need fsys
// to be an [fs.ReadLinkFS].
func DumpFS(w io.Writer, fsys fs.FS, name string, opts ...Option) error {
	o, err := newOptions(false, opts)
	if err != nil {
		return err
	}
	return inBackground(w, func(out sink, buf []byte) error {
		return dump(newWriter(out, buf), &fsTree{fsys: fsys, name: name}, o)
	})
}

// tree is a place to dump from: a directory and the names in it. The place
// that a dump begins at has one name, "".
type tree interface {
	// kind returns the type bits of what has a name.
	kind(name string) (fs.FileMode, error)

	// list returns what is in the directory, in any order.
	list() ([]fs.DirEntry, error)

	// enter returns the directory with a name.
	enter(name string) (tree, error)
	close()

	// open opens the regular file with a name. It is closed before the next
	// is opened.
	open(name string) (file, error)
	readLink(name string) (string, error)
}

// file is an open regular file.
type file interface {
	io.Reader
	size() int64
	executable() bool
	close()
}

// dumper is one run of Dump.
type dumper struct {
	*options
	w *Writer
}

func dump(w *Writer, root tree, o *options) error {
	d := &dumper{options: o, w: w}
	kind, err := root.kind("")
	if err != nil {
		return err
	}
	if err := d.node(root, "", kind); err != nil {
		return err
	}
	return d.w.Close()
}

// node writes what has a name in t.
func (d *dumper) node(t tree, name string, kind fs.FileMode) error {
	switch kind {
	case 0:
		return d.file(t, name)
	case fs.ModeSymlink:
		target, err := t.readLink(name)
		if err != nil {
			return err
		}
		h := Header{Type: TypeSymlink, LinkTarget: target}
		if err := checkHeader(&h); err != nil {
			return d.fail(err)
		}
		return d.w.begin(&h)
	case fs.ModeDir:
		return d.directory(t, name)
	}
	return d.fail(fmt.Errorf("%v: only regular files, directories and symbolic links can be in a NAR", kind))
}

func (d *dumper) directory(t tree, name string) error {
	dir, err := t.enter(name)
	if err != nil {
		return err
	}
	defer dir.close()
	if err := d.w.begin(&Header{Type: TypeDirectory}); err != nil {
		return err
	}
	entries, err := dir.list()
	if err != nil {
		return err
	}
	narName := fs.DirEntry.Name
	if d.caseHack {
		narName = func(e fs.DirEntry) string { return unhack(e.Name()) }
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int {
		return strings.Compare(narName(a), narName(b))
	})
	depth := d.w.trail.depth
	for i, e := range entries {
		if i > 0 && d.caseHack && narName(entries[i-1]) == narName(e) {
			return d.fail(fmt.Errorf("%q and %q have the same name without the case hack", entries[i-1].Name(), e.Name()))
		}
		if err := d.w.closeTo(depth); err != nil {
			return err
		}
		if !d.wanted(narName(e), e) {
			continue
		}
		if err := d.w.enter("", narName(e)); err != nil {
			return err
		}
		kind := e.Type()
		if kind&fs.ModeIrregular != 0 {
			if kind, err = dir.kind(e.Name()); err != nil {
				return err
			}
		}
		if err := d.node(dir, e.Name(), kind); err != nil {
			return err
		}
	}
	return d.w.closeTo(depth)
}

func (d *dumper) wanted(name string, e fs.DirEntry) bool {
	if d.keep == nil {
		return true
	}
	path := name
	if dir := d.w.trail.String(); dir != "" {
		path = dir + "/" + name
	}
	return d.keep(path, e)
}

var errSizeChanged = errors.New("the file changed its size while it was read")

func (d *dumper) file(t tree, name string) error {
	f, err := t.open(name)
	if err != nil {
		return err
	}
	defer f.close()
	h := Header{Type: TypeRegular, Size: f.size(), Executable: f.executable()}
	if err := d.w.begin(&h); err != nil {
		return err
	}
	n, err := d.w.ReadFrom(f)
	if err != nil {
		return err
	}
	if n != h.Size {
		return d.fail(errSizeChanged)
	}
	return nil
}

func (d *dumper) fail(err error) error { return d.w.fail(d.w.trail.String(), err) }
