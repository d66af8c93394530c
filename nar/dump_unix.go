//go:build darwin || freebsd || linux || netbsd || openbsd

package nar

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// unixTree is a directory on disk, or the path that a dump begins with. Names
// are looked up in the open directory, so no path is built for a file, nor
// walked by the kernel.
type unixTree struct {
	fd   int      // unix.AT_FDCWD at the beginning
	dir  *os.File // nil at the beginning
	path string
}

func openTree(path string) tree { return &unixTree{fd: unix.AT_FDCWD, path: path} }

// at returns the name to give to the kernel.
func (t *unixTree) at(name string) string {
	if t.dir == nil {
		return t.path
	}
	return name
}

// join returns the path for messages.
func (t *unixTree) join(name string) string {
	if t.dir == nil {
		return t.path
	}
	return t.path + "/" + name
}

func (t *unixTree) kind(name string) (fs.FileMode, error) {
	info, err := os.Lstat(t.join(name))
	if err != nil {
		return 0, err
	}
	return info.Mode().Type(), nil
}

func (t *unixTree) list() ([]fs.DirEntry, error) { return t.dir.ReadDir(-1) }

func (t *unixTree) enter(name string) (tree, error) {
	fd, err := t.openat(name, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	path := t.join(name)
	return &unixTree{fd: fd, dir: os.NewFile(uintptr(fd), path), path: path}, nil
}

func (t *unixTree) close() {
	if t.dir != nil {
		t.dir.Close()
	}
}

func (t *unixTree) openat(name string, flag int) (fd int, err error) {
	// A named pipe that replaced a file must not block.
	flag |= unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	err = retry(func() error {
		fd, err = unix.Openat(t.fd, t.at(name), flag, 0)
		return err
	})
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: t.join(name), Err: err}
	}
	return fd, nil
}

func (t *unixTree) readLink(name string) (string, error) {
	var n int
	buf := make([]byte, maxTarget+1)
	err := retry(func() (err error) {
		n, err = unix.Readlinkat(t.fd, t.at(name), buf)
		return err
	})
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: t.join(name), Err: err}
	}
	return string(buf[:n]), nil
}

func (t *unixTree) open(name string) (file, error) {
	fd, err := t.openat(name, 0)
	if err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	err = retry(func() error { return unix.Fstat(fd, &stat) })
	if err == nil && stat.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errors.New("no longer a regular file")
	}
	if err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: t.join(name), Err: err}
	}
	return &unixFile{fd: fd, length: stat.Size, x: stat.Mode&0o100 != 0}, nil
}

// unixFile is an open regular file.
type unixFile struct {
	fd     int
	pos    int64
	length int64
	x      bool
}

func (f *unixFile) Read(p []byte) (n int, err error) {
	err = retry(func() error {
		n, err = unix.Read(f.fd, p)
		return err
	})
	if err != nil {
		return 0, os.NewSyscallError("read", err)
	}
	f.pos += int64(n)
	if n == 0 || n < len(p) && f.pos >= f.length {
		return n, io.EOF // saves a call that would return 0
	}
	return n, nil
}

func (f *unixFile) size() int64      { return f.length }
func (f *unixFile) executable() bool { return f.x }
func (f *unixFile) close()           { unix.Close(f.fd) }

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
