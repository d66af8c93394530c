package nar

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
)

// Restore makes the file, symbolic link or directory that a NAR holds. The path
// must not exist yet; its directory must. Restore reads no further than the end
// of the NAR, unless [WithWholeReader] is given.
//
// Nothing in the NAR leads to a write outside of path, and Restore writes to
// nothing that exists. On Unix it works on open files and directories alone,
// never on a name that another process could have changed in between: a process
// that renames files in the tree, or puts links there, makes Restore fail, but
// not write elsewhere.
//
// On failure Restore removes what it made. On Unix it knows that by device and
// inode, and leaves everything else in place, with an error that says so. A
// panic of r removes the same before it continues.
//
// Memory is bounded by the blocks of the workers (see [WithWorkers]), by up to
// 20 bytes, and usually two or three, for each object made, and with the case
// hack by the names of one directory on each level.
func Restore(r io.Reader, path string, opts ...RestoreOption) (err error) {
	o, err := restoreOptions(opts)
	if err != nil {
		return err
	}
	dir, base := filepath.Split(filepath.Clean(path))
	if base == "" || base == "." || base == ".." {
		return &fs.PathError{Op: "restore", Path: path, Err: fs.ErrExist}
	}
	if dir == "" {
		dir = "."
	}
	parent, err := openHandle(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer parent.close()
	if parent.exists(base) {
		return &fs.PathError{Op: "restore", Path: path, Err: fs.ErrExist}
	}

	rs := &restorer{writers: newWriters(o), src: r, r: NewReader(r), base: base}
	done := false
	defer func() { // also when r panics
		if !done || err != nil {
			err = errors.Join(err, rs.made.remove(parent, base, rs.root))
		}
		if rs.root != nil {
			rs.root.close()
		}
	}()
	err = rs.run(parent)
	if err == nil && o.sync {
		err = parent.sync()
	}
	done = true
	return err
}

// restorer is one run of Restore.
type restorer struct {
	*writers
	src   io.Reader
	r     *Reader // of src
	base  string
	stack []*newDir // the directories that lead to the present node; the first holds the root
	root  *handle   // the root if it is a directory; open to the end
}

var errPanic = errors.New("nar: the reader panicked")

func (rs *restorer) run(parent *handle) (err error) {
	rs.stack = []*newDir{rs.newDir(parent, nil)}
	failure := errPanic
	defer func() {
		if failure != nil {
			rs.fail(failure)
		}
		rs.leaveTo(0)
		err = rs.close()
	}()
	failure = rs.nodes()
	return nil
}

// nodes makes what the reader yields, until its end or a failure.
func (rs *restorer) nodes() error {
	for !rs.failed.Load() {
		err := rs.r.advance()
		if err == io.EOF {
			return rs.end()
		}
		if err != nil {
			return err
		}
		rs.leaveTo(rs.r.m.trail.depth)
		if err := rs.node(); err != nil {
			return err
		}
	}
	return nil
}

// end reads what follows the NAR, if that was asked for.
func (rs *restorer) end() error {
	if !rs.whole {
		return nil
	}
	n, err := rs.r.readSourceOnce(make([]byte, 1))
	if n > 0 {
		return rs.r.m.errorf("expected nothing more, got bytes after the end of the NAR")
	}
	if err != io.EOF {
		return err
	}
	return nil
}

// leaveTo returns to the directory that holds the nodes of a depth.
func (rs *restorer) leaveTo(depth int) {
	for last := len(rs.stack) - 1; last > depth; last-- {
		rs.stack[last].release()
		rs.stack = rs.stack[:last]
	}
}

// node makes the present node of the reader.
func (rs *restorer) node() error {
	dir, m := rs.stack[len(rs.stack)-1], &rs.r.m
	name := rs.base
	if m.trail.depth > 0 {
		var err error
		if name, err = dir.diskName(string(m.trail.name())); err != nil {
			return m.errorf("%v", err)
		}
	}
	switch m.node.Type {
	case TypeSymlink:
		return dir.handle.symlink(string(m.target), name, rs.canonical, &rs.made)
	case TypeDirectory:
		return rs.directory(dir, name)
	}
	if m.node.Size <= maxSmallFile && m.trail.depth > 0 {
		return rs.add(dir, name, rs.r)
	}
	return rs.regular(dir, name)
}

func (rs *restorer) directory(parent *newDir, name string) error {
	mode := fs.FileMode(0o777)
	if rs.canonical {
		mode = 0o700 // keeps others out until the directory is filled
	}
	h, err := parent.handle.mkdir(name, mode, &rs.made)
	if err != nil {
		return err
	}
	if rs.root == nil {
		rs.root = h
	}
	rs.stack = append(rs.stack, rs.newDir(h, parent))
	return nil
}

// regular makes a file that is too large for a batch.
func (rs *restorer) regular(dir *newDir, name string) error {
	mode := rs.fileMode(rs.r.m.node.Executable)
	f, err := dir.handle.create(name, mode, &rs.made)
	if err != nil {
		return err
	}
	defer f.Close() // a second time, unless the reader panics
	_, err = rs.r.WriteTo(f)
	return rs.finishFile(dir.handle, name, f, mode, err)
}

// diskName returns the name on disk for an entry.
func (d *newDir) diskName(name string) (string, error) {
	if d.names != nil {
		var err error
		if name, err = d.names.hack(name); err != nil {
			return "", err
		}
	}
	if runtime.GOOS == "windows" {
		if _, err := filepath.Localize(name); err != nil {
			return "", fmt.Errorf("name %s cannot be used on this system", quote(name))
		}
	}
	return name, nil
}
