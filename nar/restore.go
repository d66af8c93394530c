package nar

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Restore makes the file, symbolic link or directory that a NAR holds, at a
// path that must not exist yet in a directory that does. It reads no further
// than the NAR's end, unless [WithWholeReader] is given.
//
// Everything is made through an [os.Root], so nothing in the NAR leads to a
// write outside of path, and nothing that exists is written to. Should
// anything fail, what was made is removed again.
//
// Memory is bounded by the workers' blocks, see [WithWorkers]; with the case
// hack also by the names of one directory on each level.
func Restore(r io.Reader, path string, opts ...RestoreOption) error {
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
	parent, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer parent.Close()
	if _, err := parent.Lstat(base); err == nil {
		return &fs.PathError{Op: "restore", Path: path, Err: fs.ErrExist}
	}

	rs := &restorer{writers: newWriters(o), src: r, r: NewReader(r), base: base}
	err = rs.run(parent)
	if err == nil && o.sync {
		err = syncDir(parent)
	}
	if err != nil && rs.made {
		err = errors.Join(err, removeTree(parent, base))
	}
	return err
}

// restorer is one run of Restore.
type restorer struct {
	*writers
	src   io.Reader
	r     *Reader // of src
	base  string
	stack []*newDir // the directories that lead to the node at hand; the first holds the root
	made  bool      // the root, and not by someone else
}

func (rs *restorer) run(parent *os.Root) error {
	rs.stack = []*newDir{rs.newDir(parent, nil, "")}
	if err := rs.nodes(); err != nil {
		rs.fail(err)
	}
	rs.leaveTo(0)
	return rs.close()
}

// nodes makes what the reader gives, until its end or a failure.
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

// end reads what follows the NAR, if it is to.
func (rs *restorer) end() error {
	if !rs.whole {
		return nil
	}
	err := rs.r.srcErr // may have come with the last bytes
	if err == nil {
		var n int
		if n, err = io.ReadFull(rs.src, make([]byte, 1)); n > 0 {
			return rs.r.m.errorf("there is more behind the end of the NAR")
		}
	}
	if err != io.EOF {
		return err
	}
	return nil
}

// leaveTo goes back to the directory that holds the nodes of a depth.
func (rs *restorer) leaveTo(depth int) {
	for last := len(rs.stack) - 1; last > depth; last-- {
		rs.stack[last].release()
		rs.stack = rs.stack[:last]
	}
}

// node makes what the reader is at.
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
		return rs.symlink(dir, name, string(m.target))
	case TypeDirectory:
		return rs.directory(dir, name)
	}
	if m.node.Size <= maxSmallFile && rs.made {
		return rs.add(dir, name, rs.r)
	}
	return rs.regular(dir, name)
}

func (rs *restorer) symlink(dir *newDir, name, target string) error {
	if err := dir.root.Symlink(target, name); err != nil {
		return err
	}
	rs.made = true
	if rs.canonical {
		return setLinkTime(dir.root, name)
	}
	return nil
}

func (rs *restorer) directory(parent *newDir, name string) error {
	if err := parent.root.Mkdir(name, 0o777); err != nil {
		return err
	}
	rs.made = true
	root, err := parent.root.OpenRoot(name)
	if err != nil {
		return err
	}
	rs.stack = append(rs.stack, rs.newDir(root, parent, name))
	return nil
}

func (rs *restorer) regular(dir *newDir, name string) error {
	f, err := rs.createFile(dir.root, name, rs.r.m.node.Executable)
	if err != nil {
		return err
	}
	rs.made = true
	_, err = rs.r.WriteTo(f)
	return rs.finishFile(dir.root, name, f, rs.r.m.node.Executable, err)
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
