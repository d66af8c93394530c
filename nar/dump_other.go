//go:build !(darwin || freebsd || linux || netbsd || openbsd)

package nar

import (
	"os"
	"path/filepath"
)

func openTree(path string) tree {
	dir, name := filepath.Split(filepath.Clean(path))
	if name == "" || name == "." || name == ".." {
		return &fsTree{fsys: os.DirFS(path), name: "."}
	}
	if dir == "" {
		dir = "."
	}
	return &fsTree{fsys: os.DirFS(dir), name: name}
}
