//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package nar

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setLinkTime gives a symbolic link, not its target, the time of the store.
func setLinkTime(dir *os.Root, name string) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return setTime(f, name)
}

// setTime gives what has a name in dir, not what it points to, the time of the
// store.
func setTime(dir *os.File, name string) error {
	accessed, modified := unix.NsecToTimespec(time.Now().UnixNano()), unix.NsecToTimespec(storeTime.UnixNano())
	err := unix.UtimesNanoAt(int(dir.Fd()), name, []unix.Timespec{accessed, modified}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return nil
}

// openSelf opens the directory itself, unless it is.
func (d *newDir) openSelf() (err error) {
	if d.self == nil {
		d.self, err = d.root.Open(".")
	}
	return err
}

// writeFile makes a small file. It does what createFile and finishFile do, for
// a single name in a directory that an os.Root has opened, but leaves out what
// package os does for files that could be waited for, which takes longer than
// making the file.
func (w *writers) writeFile(s smallFile, contents []byte) error {
	fail := func(op string, err error) error { return &os.PathError{Op: op, Path: s.name, Err: err} }
	mode := uint32(w.fileMode(s.executable))
	var fd int
	err := retry(func() (err error) {
		const flag = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
		fd, err = unix.Openat(int(s.dir.self.Fd()), s.name, flag, mode)
		return err
	})
	if err != nil {
		return fail("openat", err)
	}
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
	if err == nil && w.canonical {
		op, err = "chmod", retry(func() error { return unix.Fchmod(fd, mode) })
	}
	if err == nil && w.sync {
		op, err = "sync", retry(func() error { return unix.Fsync(fd) })
	}
	if cerr := unix.Close(fd); err == nil && cerr != unix.EINTR {
		op, err = "close", cerr
	}
	if err != nil {
		return fail(op, err)
	}
	if w.canonical {
		return setTime(s.dir.self, s.name)
	}
	return nil
}
