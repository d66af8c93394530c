package fileblob

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setTime sets the times of an open file, by its handle: its name may be another
// file's by now.
func setTime(f *os.File, now time.Time) error {
	ts := unix.NsecToTimespec(now.UnixNano())
	times := [2]unix.Timespec{ts, ts}
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = conn.Control(func(fd uintptr) { // futimens(3)
		_, _, errno = unix.Syscall6(unix.SYS_UTIMENSAT, fd, 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	})
	if err == nil && errno != 0 {
		err = &os.PathError{Op: "utimensat", Path: f.Name(), Err: errno}
	}
	return err
}
