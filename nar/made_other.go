//go:build !(darwin || freebsd || linux || netbsd || openbsd)

package nar

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// madeLog records the root that one Restore made.
type madeLog struct {
	once sync.Once
	root fs.FileInfo
}

// first records the first object that is made.
func (m *madeLog) first(dir *handle, name string) {
	m.once.Do(func() { m.root, _ = dir.root.Lstat(name) })
}

var errForeign = errors.New("not removed, as Restore did not make it")

// remove removes the root and all below it, if it is still the same.
func (m *madeLog) remove(parent *handle, base string, root *handle) error {
	if m.root == nil {
		return nil
	}
	info, err := parent.root.Lstat(base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !os.SameFile(info, m.root):
		return &fs.PathError{Op: "remove", Path: base, Err: errForeign}
	}
	if parent.root.RemoveAll(base) == nil {
		return nil
	}
	makeWritable(parent.root, base)
	return parent.root.RemoveAll(base)
}

// makeWritable lets the owner change a directory and all below it, which is
// nested less than maxDepth levels deep. The removal reports what fails here.
func makeWritable(parent *os.Root, name string) {
	if info, err := parent.Lstat(name); err != nil || !info.IsDir() {
		return
	}
	parent.Chmod(name, 0o700)
	dir, err := parent.OpenRoot(name)
	if err != nil {
		return
	}
	defer dir.Close()
	entries, _ := fs.ReadDir(dir.FS(), ".")
	for _, e := range entries {
		if e.IsDir() {
			makeWritable(dir, filepath.Base(e.Name()))
		}
	}
}
