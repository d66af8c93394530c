//go:build darwin || freebsd || linux || netbsd || openbsd

package nar

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// madeLog records what one Restore made. Inodes that follow each other differ
// by little, so each usually takes a few bytes.
type madeLog struct {
	mu      sync.Mutex
	devices []deviceLog // one, or two on an overlay
}

type deviceLog struct {
	dev    uint64
	last   uint64
	deltas []byte
}

func (m *madeLog) add(o object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var d *deviceLog
	for i := range m.devices {
		if m.devices[i].dev == o.dev {
			d = &m.devices[i]
		}
	}
	if d == nil {
		m.devices = append(m.devices, deviceLog{dev: o.dev})
		d = &m.devices[len(m.devices)-1]
	}
	d.deltas = binary.AppendVarint(d.deltas, int64(o.ino-d.last))
	d.last = o.ino
}

// set returns what was recorded.
func (m *madeLog) set() map[object]bool {
	set := map[object]bool{}
	for _, d := range m.devices {
		ino := uint64(0)
		for b := d.deltas; len(b) > 0; {
			delta, n := binary.Varint(b)
			b = b[n:]
			ino += uint64(delta)
			set[object{d.dev, ino}] = true
		}
	}
	return set
}

var errForeign = errors.New("not removed, as Restore did not make it")

// remove removes what was made: base in parent, which is the open directory
// root if it is one, and all below it.
func (m *madeLog) remove(parent *handle, base string, root *handle) error {
	made := m.set()
	if len(made) == 0 {
		return nil
	}
	var errs []error
	if root != nil { // wherever it is by now
		errs = append(errs, root.removeEntries(made, 0))
	}
	return errors.Join(append(errs, parent.removeEntry(base, made, maxDepth))...)
}

// removeEntry removes what has a name, with what is below it down to maxDepth.
func (h *handle) removeEntry(name string, made map[object]bool, depth int) error {
	st, err := h.lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !made[objectOf(&st)]:
		return h.fail("remove", name, errForeign)
	}
	flag := 0
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		flag = unix.AT_REMOVEDIR
		if depth < maxDepth {
			if err := h.removeBelow(name, made, depth); err != nil {
				return err
			}
		}
	}
	if err := retry(func() error { return unix.Unlinkat(h.fd, name, flag) }); err != nil {
		return h.fail("remove", name, err)
	}
	return nil
}

// removeBelow empties a directory.
func (h *handle) removeBelow(name string, made map[object]bool, depth int) error {
	fd, st, err := h.openat(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrPermission) {
		// The owner may not read it. It is ours, and so is its directory.
		if err = unix.Fchmodat(h.fd, name, 0o700, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			fd, st, err = h.openat(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		}
	}
	if err != nil {
		return err
	}
	dir := &handle{fd, h.path + "/" + name}
	defer dir.close()
	if !made[objectOf(&st)] {
		return h.fail("remove", name, errForeign)
	}
	return dir.removeEntries(made, depth+1)
}

// removeEntries empties a directory that Restore made. It first keeps other
// users from renaming anything in it.
func (h *handle) removeEntries(made map[object]bool, depth int) error {
	if err := retry(func() error { return unix.Fchmod(h.fd, 0o700) }); err != nil {
		return h.fail("fchmod", "", err)
	}
	fd, _, err := h.openat(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), h.path)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	f.Close()
	var first error // one for each directory says enough
	if err != nil {
		first = err
	}
	for _, name := range names {
		if err := h.removeEntry(name, made, depth); err != nil && first == nil {
			first = err
		}
	}
	return first
}
