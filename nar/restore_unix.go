//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package nar

import (
	"os"

	"golang.org/x/sys/unix"
)

// setLinkTime gives a symbolic link, not its target, the time of the store.
func setLinkTime(dir *os.Root, name string) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	t := unix.NsecToTimespec(storeTime.UnixNano())
	err = unix.UtimesNanoAt(int(f.Fd()), name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return nil
}
