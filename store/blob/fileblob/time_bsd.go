//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package fileblob

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setTime sets the times of an open file, by its handle: its name may be another
// file's by now.
func setTime(f *os.File, now time.Time) error {
	tv := unix.NsecToTimeval(now.UnixNano())
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = conn.Control(func(fd uintptr) { failure = unix.Futimes(int(fd), []unix.Timeval{tv, tv}) })
	if err == nil {
		err = failure
	}
	return err
}
