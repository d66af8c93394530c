package nar

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// storeTimes leaves the access time as it is.
var storeTimes = []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(storeTime.UnixNano())}

// setStoreTime gives an open file or directory the time of a Nix store. Package
// unix can name the file only by a path.
func setStoreTime(fd int) error {
	return retry(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&storeTimes[0])), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}

// symlink makes a symbolic link. As with mkdir, what has the name afterwards
// may be something else; the time is set on what was looked at.
func (h *handle) symlink(target, name string, canonical bool, made *madeLog) error {
	if err := retry(func() error { return unix.Symlinkat(target, h.fd, name) }); err != nil {
		return h.fail("symlinkat", name, err)
	}
	afterMake(h, name)
	fd, st, err := h.openat(name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, maxTarget+1)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil || string(buf[:n]) != target || !unchanged(&st) {
		return h.fail("symlinkat", name, errExchanged)
	}
	made.add(objectOf(&st))
	if !canonical {
		return nil
	}
	err = unix.UtimesNanoAt(fd, "", storeTimes, unix.AT_EMPTY_PATH)
	if err == unix.EINVAL || err == unix.ENOENT { // before Linux 5.8
		err = unix.UtimesNanoAt(h.fd, name, storeTimes, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return h.fail("utimensat", name, err)
	}
	return nil
}
