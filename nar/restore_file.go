package nar

import (
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// storeTime is the modification time of everything in a Nix store.
var storeTime = time.Unix(1, 0)

// newDir is a directory that is being filled.
type newDir struct {
	*writers
	handle *handle
	parent *newDir  // nil for the directory that holds the root
	names  caseHack // nil without it

	// pending counts what must be done before the directory is finished: each
	// directory and batched file in it, and the reading of its entries.
	pending atomic.Int32
}

func (w *writers) newDir(h *handle, parent *newDir) *newDir {
	d := &newDir{writers: w, handle: h, parent: parent}
	d.pending.Store(1)
	if parent != nil {
		parent.pending.Add(1)
	}
	if w.caseHack {
		d.names = caseHack{}
	}
	return d
}

// release notes that one thing in the directory is done, and finishes the
// directory after the last. A finished directory releases its parent: this is a
// loop of at most 64 turns, the bound of nesting.
func (d *newDir) release() {
	for d.parent != nil && d.pending.Add(-1) == 0 {
		if !d.failed.Load() {
			if err := d.finish(); err != nil {
				d.fail(err)
			}
		}
		if d.parent.parent != nil { // the root is open to the end
			d.handle.close()
		}
		d = d.parent
	}
}

func (d *newDir) finish() error {
	if d.sync {
		if err := d.handle.sync(); err != nil {
			return err
		}
	}
	if !d.canonical {
		return nil
	}
	return d.handle.seal()
}

// fileMode is the mode of a finished file, or that of a new one.
func (o *options) fileMode(executable bool) fs.FileMode {
	switch {
	case o.canonical && executable:
		return 0o555
	case o.canonical:
		return 0o444
	case executable:
		return 0o777
	}
	return 0o666
}

// finishFile closes a file that has its contents, unless err reports that it
// has not.
func (o *options) finishFile(dir *handle, name string, f *os.File, mode fs.FileMode, err error) error {
	if err == nil && o.canonical {
		err = f.Chmod(mode) // whatever the umask is
	}
	if err == nil && o.canonical {
		err = dir.setTime(name, f)
	}
	if err == nil && o.sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
