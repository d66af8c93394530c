//go:build unix

package fileblob

import (
	"io/fs"
	"os"
	"syscall"
)

// nonblock makes opening a named pipe return at once.
const nonblock = syscall.O_NONBLOCK

// setMode gives a new folder its mode, if the umask took bits away.
func setMode(open func() (*os.File, error)) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.IsDir() || info.Mode().Perm() == folderMode {
		return err
	}
	return f.Chmod(folderMode)
}

// inode returns the number of a file, which every write changes.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}
