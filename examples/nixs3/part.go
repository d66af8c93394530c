package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// removePart removes the remains of an interrupted restore, whose folders may
// not be writable.
func removePart(part string) error {
	err := filepath.WalkDir(part, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(name, 0o755)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(part)
}

// renamePart gives a restored path its name. macOS does not rename a folder that
// its owner may not write.
func renamePart(part, name string) error {
	info, err := os.Lstat(part)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return os.Rename(part, name)
	}
	if err := os.Chmod(part, 0o755); err != nil {
		return err
	}
	if err := os.Rename(part, name); err != nil {
		return err
	}
	if err := os.Chmod(name, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Chtimes(name, info.ModTime(), info.ModTime())
}
