//go:build unix

package fileblob

import (
	"io/fs"
	"syscall"
)

// inode returns the number of a file, which is another one after each write.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}
