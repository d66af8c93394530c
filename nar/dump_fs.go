package nar

import (
	"errors"
	"io"
	"io/fs"
	"path"
)

// fsTree is a directory of an fs.FS, or the name that a dump begins with.
type fsTree struct {
	fsys fs.FS
	name string
}

func (t *fsTree) join(name string) string { return path.Join(t.name, name) }

func (t *fsTree) kind(name string) (fs.FileMode, error) {
	info, err := fs.Lstat(t.fsys, t.join(name))
	if err != nil {
		return 0, err
	}
	return info.Mode().Type(), nil
}

func (t *fsTree) list() ([]fs.DirEntry, error) { return fs.ReadDir(t.fsys, t.name) }

func (t *fsTree) enter(name string) (tree, error) {
	return &fsTree{fsys: t.fsys, name: t.join(name)}, nil
}

func (t *fsTree) close() {}

func (t *fsTree) readLink(name string) (string, error) {
	return fs.ReadLink(t.fsys, t.join(name))
}

func (t *fsTree) open(name string) (file, error) {
	f, err := t.fsys.Open(t.join(name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: t.join(name), Err: errors.New("no longer a regular file")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &fsFile{f, info}, nil
}

// fsFile is a file of an fs.FS.
type fsFile struct {
	io.ReadCloser
	info fs.FileInfo
}

func (f *fsFile) size() int64      { return f.info.Size() }
func (f *fsFile) executable() bool { return f.info.Mode()&0o100 != 0 }
func (f *fsFile) close()           { f.Close() }
