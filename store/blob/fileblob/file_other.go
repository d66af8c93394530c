//go:build !unix

package fileblob

import (
	"io/fs"
	"os"
)

// nonblock is nothing: there are no named pipes among files here.
const nonblock = 0

// setMode does nothing: folders have no modes here.
func setMode(func() (*os.File, error)) error { return nil }

// inode returns 0: here the time alone tells one write from another.
func inode(fs.FileInfo) uint64 { return 0 }
