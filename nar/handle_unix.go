//go:build darwin || freebsd || linux || netbsd || openbsd

package nar

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// handle is an open directory. Its methods take single names in it, and never
// follow a link.
type handle struct {
	fd   int
	path string // for messages
}

func openHandle(path string) (*handle, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &handle{fd, path}, nil
}

func (h *handle) close() { unix.Close(h.fd) }

// fail describes the failure of an operation on an entry, or on the directory
// itself where name is "".
func (h *handle) fail(op, name string, err error) error {
	path := h.path
	if name != "" {
		path += "/" + name
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// object identifies what a name led to.
type object struct{ dev, ino uint64 }

func objectOf(st *unix.Stat_t) object { return object{uint64(st.Dev), uint64(st.Ino)} }

func (h *handle) lstat(name string) (st unix.Stat_t, err error) {
	err = retry(func() error { return unix.Fstatat(h.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		err = h.fail("lstat", name, err)
	}
	return st, err
}

func (h *handle) exists(name string) bool {
	_, err := h.lstat(name)
	return err == nil
}

// openat opens an entry and describes it.
func (h *handle) openat(name string, flag int, mode uint32) (fd int, st unix.Stat_t, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Openat(h.fd, name, flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	if err != nil {
		return -1, st, h.fail("openat", name, err)
	}
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		unix.Close(fd)
		return -1, st, h.fail("fstat", name, err)
	}
	return fd, st, nil
}

// create makes a regular file.
func (h *handle) create(name string, mode fs.FileMode, made *madeLog) (*os.File, error) {
	fd, st, err := h.openat(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, uint32(mode))
	if err != nil {
		return nil, err
	}
	made.add(objectOf(&st))
	return os.NewFile(uintptr(fd), h.path+"/"+name), nil
}

var errExchanged = errors.New("exchanged by someone else while it was made")

// afterMake lets tests change what was just made, before it is opened.
var afterMake = func(h *handle, name string) {}

// mkdir makes a directory and opens it. The system cannot do both at once, so
// what is open then may be something else that was renamed to the name. That is
// refused: a new directory is empty, and nothing has changed its inode, which a
// rename does.
func (h *handle) mkdir(name string, mode fs.FileMode, made *madeLog) (*handle, error) {
	if err := retry(func() error { return unix.Mkdirat(h.fd, name, uint32(mode)) }); err != nil {
		return nil, h.fail("mkdirat", name, err)
	}
	afterMake(h, name)
	fd, st, err := h.openat(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	dir := &handle{fd, h.path + "/" + name}
	empty, err := dir.empty()
	if err == nil && !(empty && unchanged(&st)) {
		err = h.fail("mkdirat", name, errExchanged)
	}
	if err != nil {
		dir.close()
		return nil, err
	}
	made.add(objectOf(&st))
	return dir, nil
}

// empty reports whether the directory has no entries. It may be called once.
func (h *handle) empty() (bool, error) {
	var buf [4 << 10]byte
	for {
		var n int
		err := retry(func() (err error) {
			n, err = unix.ReadDirent(h.fd, buf[:])
			return err
		})
		if err != nil {
			return false, h.fail("readdir", "", err)
		}
		if n <= 0 {
			return true, nil
		}
		if _, count, _ := unix.ParseDirent(buf[:n], -1, nil); count > 0 {
			return false, nil
		}
	}
}

// unchanged reports whether nothing has changed an inode, or its name, since it
// was new. Both times come from one clock. The margin is for systems that set
// attributes of their own on what is new.
func unchanged(st *unix.Stat_t) bool {
	const margin = 20 * time.Millisecond
	d := time.Duration(unix.TimespecToNsec(st.Ctim) - unix.TimespecToNsec(st.Mtim))
	return -margin <= d && d <= margin
}

// seal gives the directory the metadata of a Nix store.
func (h *handle) seal() error {
	if err := retry(func() error { return unix.Fchmod(h.fd, 0o555) }); err != nil {
		return h.fail("fchmod", "", err)
	}
	if err := setStoreTime(h.fd); err != nil {
		return h.fail("futimes", "", err)
	}
	return nil
}

// setTime gives an open file in the directory the time of a Nix store.
func (h *handle) setTime(name string, f *os.File) error {
	if err := setStoreTime(int(f.Fd())); err != nil {
		return h.fail("futimes", name, err)
	}
	return nil
}

func (h *handle) sync() error {
	if err := retry(func() error { return unix.Fsync(h.fd) }); err != nil {
		return h.fail("fsync", "", err)
	}
	return nil
}

// writeFile makes a small file. It does what create and finishFile do, without
// what package os does for files that can be waited for, which takes longer
// than making the file.
func (w *writers) writeFile(s smallFile, contents []byte) error {
	h, mode := s.dir.handle, uint32(w.fileMode(s.executable))
	fd, st, err := h.openat(s.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, mode)
	if err != nil {
		return err
	}
	w.made.add(objectOf(&st))
	op := "write"
	for len(contents) > 0 && err == nil {
		var n int
		err = retry(func() (err error) {
			n, err = unix.Write(fd, contents)
			return err
		})
		if n <= 0 && err == nil {
			err = io.ErrShortWrite
		}
		contents = contents[max(n, 0):]
	}
	if err == nil && w.canonical && uint32(st.Mode)&0o7777 != mode { // for the umask
		op, err = "fchmod", retry(func() error { return unix.Fchmod(fd, mode) })
	}
	if err == nil && w.canonical {
		op, err = "futimes", setStoreTime(fd)
	}
	if err == nil && w.sync {
		op, err = "fsync", retry(func() error { return unix.Fsync(fd) })
	}
	if cerr := unix.Close(fd); err == nil && cerr != unix.EINTR {
		op, err = "close", cerr
	}
	if err != nil {
		return h.fail(op, s.name, err)
	}
	return nil
}
