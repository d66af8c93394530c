//go:build !(darwin || freebsd || linux || netbsd || openbsd)

package nar

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// handle is an open directory. Its methods take single names in it.
type handle struct {
	root *os.Root
}

func openHandle(path string) (*handle, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &handle{root}, nil
}

func (h *handle) close() { h.root.Close() }

func (h *handle) exists(name string) bool {
	_, err := h.root.Lstat(name)
	return err == nil
}

func (h *handle) create(name string, mode fs.FileMode, made *madeLog) (*os.File, error) {
	f, err := h.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	made.first(h, name)
	return f, nil
}

var errExchanged = errors.New("exchanged by someone else while it was made")

// mkdir makes a directory and opens it. What is open then may be something else
// that was renamed to the name; it is refused unless it is empty.
func (h *handle) mkdir(name string, mode fs.FileMode, made *madeLog) (*handle, error) {
	if err := h.root.Mkdir(name, mode); err != nil {
		return nil, err
	}
	root, err := h.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	dir := &handle{root}
	info, err := h.root.Lstat(name)
	var opened fs.FileInfo
	if err == nil {
		opened, err = root.Stat(".")
	}
	var entries []fs.DirEntry
	if err == nil {
		entries, err = fs.ReadDir(root.FS(), ".")
	}
	if err == nil && (!os.SameFile(info, opened) || len(entries) > 0) {
		err = &fs.PathError{Op: "mkdir", Path: filepath.Join(h.root.Name(), name), Err: errExchanged}
	}
	if err != nil {
		dir.close()
		return nil, err
	}
	made.first(h, name)
	return dir, nil
}

// symlink makes a symbolic link. Links have no times of their own here, or none
// that can be set.
func (h *handle) symlink(target, name string, _ bool, made *madeLog) error {
	if err := h.root.Symlink(target, name); err != nil {
		return err
	}
	made.first(h, name)
	return nil
}

// seal gives the directory the metadata of a Nix store.
func (h *handle) seal() error {
	if err := h.root.Chmod(".", 0o555); err != nil {
		return err
	}
	return h.root.Chtimes(".", time.Time{}, storeTime)
}

// setTime gives an open file in the directory the time of a Nix store. Where a
// file that is open cannot be renamed, as on Windows, the name is still its own.
func (h *handle) setTime(name string, _ *os.File) error {
	return h.root.Chtimes(name, time.Time{}, storeTime)
}

func (h *handle) sync() error {
	if runtime.GOOS == "windows" {
		return nil // it cannot flush a directory
	}
	f, err := h.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (w *writers) writeFile(s smallFile, contents []byte) error {
	mode := w.fileMode(s.executable)
	f, err := s.dir.handle.create(s.name, mode, &w.made)
	if err != nil {
		return err
	}
	_, err = f.Write(contents)
	return w.finishFile(s.dir.handle, s.name, f, mode, err)
}
