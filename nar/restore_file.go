package nar

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"
)

// storeTime is the modification time of everything in a Nix store.
var storeTime = time.Unix(1, 0)

// newDir is a directory that is being filled.
type newDir struct {
	*writers
	root   *os.Root
	self   *os.File // the same directory, where small files need it
	parent *newDir
	name   string   // in parent
	names  caseHack // nil without it

	// pending counts what must be done before the directory is finished: each
	// file and directory in it, and the reading of its entries.
	pending atomic.Int32
}

func (w *writers) newDir(root *os.Root, parent *newDir, name string) *newDir {
	d := &newDir{writers: w, root: root, parent: parent, name: name}
	d.pending.Store(1)
	if parent != nil {
		parent.pending.Add(1)
	}
	if w.caseHack {
		d.names = caseHack{}
	}
	return d
}

// release notes that one thing in the directory is done, and finishes it after
// the last.
func (d *newDir) release() {
	if d.pending.Add(-1) > 0 {
		return
	}
	if !d.failed.Load() {
		if err := d.finish(); err != nil {
			d.fail(err)
		}
	}
	if d.self != nil {
		d.self.Close()
	}
	d.root.Close()
	d.parent.release()
}

func (d *newDir) finish() error {
	if d.sync {
		if err := syncDir(d.root); err != nil {
			return err
		}
	}
	if !d.canonical {
		return nil
	}
	if err := d.parent.root.Chmod(d.name, 0o555); err != nil {
		return err
	}
	return d.parent.root.Chtimes(d.name, time.Time{}, storeTime)
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

func (o *options) createFile(dir *os.Root, name string, executable bool) (*os.File, error) {
	return dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, o.fileMode(executable))
}

// finishFile closes a file that has its contents, unless err says that it has
// not.
func (o *options) finishFile(dir *os.Root, name string, f *os.File, executable bool, err error) error {
	if err == nil && o.canonical {
		err = f.Chmod(o.fileMode(executable)) // whatever the umask is
	}
	if err == nil && o.sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && o.canonical {
		err = dir.Chtimes(name, time.Time{}, storeTime)
	}
	return err
}

// syncDir flushes a directory's entries.
func syncDir(dir *os.Root) error {
	if runtime.GOOS == "windows" {
		return nil // it has no such thing
	}
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// removeTree removes a directory that may hold read-only ones.
func removeTree(parent *os.Root, name string) error {
	if parent.RemoveAll(name) == nil {
		return nil
	}
	makeWritable(parent, name)
	return parent.RemoveAll(name)
}

// makeWritable lets the owner change a directory and all below it. What fails
// here is reported by the removal.
func makeWritable(parent *os.Root, name string) {
	if info, err := parent.Lstat(name); err != nil || !info.IsDir() {
		return
	}
	parent.Chmod(name, 0o700)
	dir, err := parent.OpenRoot(name)
	if err != nil {
		return
	}
	defer dir.Close()
	f, err := dir.Open(".")
	if err != nil {
		return
	}
	defer f.Close()
	entries, _ := f.ReadDir(-1)
	for _, e := range entries {
		if e.IsDir() {
			makeWritable(dir, filepath.Base(e.Name()))
		}
	}
}
