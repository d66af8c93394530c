package nar

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// tree is a directory to dump from, with the names in it. The tree that a dump
// begins with has one name, "".
type tree interface {
	// kind returns the type bits of the entry with a name.
	kind(name string) (fs.FileMode, error)

	// list returns the entries of the directory, in any order.
	list() ([]fs.DirEntry, error)

	// enter returns the directory with a name.
	enter(name string) (tree, error)
	close()

	// open opens the regular file with a name.
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

// found is a node of a tree, ready to be written.
type found struct {
	name   string // in the NAR
	depth  int
	kind   Type
	target string // of a link
	file   file   // a regular one, open
}

// walker finds the nodes of a tree in the order of the NAR.
type walker struct {
	*options
	names []string          // that lead to the present directory
	emit  func(found) error // takes the file over
}

// walk finds the root and everything below it.
func (o *options) walk(root tree, emit func(found) error) error {
	w := &walker{options: o, emit: emit}
	kind, err := root.kind("")
	if err != nil {
		return err
	}
	return w.node(root, "", found{}, kind)
}

// node finds the entry of t with a name. It calls itself through directory, at
// most maxDepth deep.
func (w *walker) node(t tree, name string, n found, kind fs.FileMode) (err error) {
	switch kind {
	case 0:
		n.kind = TypeRegular
		n.file, err = t.open(name)
	case fs.ModeSymlink:
		n.kind = TypeSymlink
		n.target, err = t.readLink(name)
	case fs.ModeDir:
		n.kind = TypeDirectory
	default:
		return w.errorf(n.name, "expected a regular file, directory or symbolic link, got %v", kind)
	}
	if err != nil {
		return err
	}
	if err := w.emit(n); err != nil || n.kind != TypeDirectory {
		return err
	}
	return w.directory(t, name, n)
}

func (w *walker) directory(t tree, name string, n found) error {
	dir, err := t.enter(name)
	if err != nil {
		return err
	}
	defer dir.close()
	if n.depth > 0 {
		w.names = append(w.names, n.name)
		defer func() { w.names = w.names[:len(w.names)-1] }()
	}
	entries, err := dir.list()
	if err != nil {
		return err
	}
	if len(entries) > 0 && n.depth+1 >= maxDepth {
		return w.errorf(entries[0].Name(), "nested too deeply: a node may have at most %d directories above it", maxDepth-1)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int {
		return strings.Compare(w.narName(a), w.narName(b))
	})
	for i, e := range entries {
		name := w.narName(e)
		if i > 0 && w.caseHack && w.narName(entries[i-1]) == name {
			return w.errorf(name, "%q and %q have the same name without the case hack", entries[i-1].Name(), e.Name())
		}
		if w.keep != nil && !w.keep(w.path(name), e) {
			continue
		}
		kind := e.Type()
		if kind&fs.ModeIrregular != 0 {
			if kind, err = dir.kind(e.Name()); err != nil {
				return err
			}
		}
		if err := w.node(dir, e.Name(), found{name: name, depth: n.depth + 1}, kind); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) narName(e fs.DirEntry) string {
	if w.caseHack {
		return unhack(e.Name())
	}
	return e.Name()
}

// path returns the path in the NAR of an entry of the present directory.
func (w *walker) path(name string) string {
	if len(w.names) == 0 {
		return name
	}
	return strings.Join(w.names, "/") + "/" + name
}

func (w *walker) errorf(name, format string, args ...any) error {
	return fmt.Errorf("nar: writing %s: "+format, append([]any{strconv.Quote(w.path(name))}, args...)...)
}
