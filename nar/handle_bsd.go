//go:build darwin || freebsd || netbsd || openbsd

package nar

import (
	"time"

	"golang.org/x/sys/unix"
)

// setStoreTime gives an open file or directory the time of a Nix store.
func setStoreTime(fd int) error {
	times := []unix.Timeval{unix.NsecToTimeval(time.Now().UnixNano()), unix.NsecToTimeval(storeTime.UnixNano())}
	return retry(func() error { return unix.Futimes(fd, times) })
}

// symlink makes a symbolic link. As with mkdir, what has the name afterwards
// may be something else. Links cannot be opened here, so its time is set by
// name, on whatever has the name then.
func (h *handle) symlink(target, name string, canonical bool, made *madeLog) error {
	if err := retry(func() error { return unix.Symlinkat(target, h.fd, name) }); err != nil {
		return h.fail("symlinkat", name, err)
	}
	afterMake(h, name)
	st, err := h.lstat(name)
	if err != nil {
		return err
	}
	buf := make([]byte, maxTarget+1)
	n, err := unix.Readlinkat(h.fd, name, buf)
	if err != nil || string(buf[:n]) != target || !unchanged(&st) {
		return h.fail("symlinkat", name, errExchanged)
	}
	made.add(objectOf(&st))
	if !canonical {
		return nil
	}
	times := []unix.Timespec{unix.NsecToTimespec(time.Now().UnixNano()), unix.NsecToTimespec(storeTime.UnixNano())}
	if err := unix.UtimesNanoAt(h.fd, name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return h.fail("utimensat", name, err)
	}
	return nil
}
