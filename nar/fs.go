package nar

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// FS is the tree of a NAR as a file system. It implements [fs.ReadDirFS],
// [fs.ReadFileFS], [fs.StatFS] and [fs.ReadLinkFS]; its regular files
// implement [io.ReaderAt] and [io.Seeker]. Symbolic links are followed within
// the NAR only: the target of an absolute one, or of one that leads out, does
// not exist.
//
// Modes and times are those of a Nix store. Names that are not UTF-8 are
// listed but cannot be opened, by the rule of package io/fs. The name "." is the
// root, also if the root is not a directory.
//
// An FS is safe for concurrent use if its io.ReaderAt is.
type FS struct {
	ra   io.ReaderAt
	root *Node
}

var (
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.ReadFileFS = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
	_ fs.ReadLinkFS = (*FS)(nil)
)

// NewFS returns the file system of a NAR that can be read at any offset. What
// there is, and where, is what the listing says. A false listing makes reads
// fail or return other bytes of ra, within the bounds of ra and with memory in
// proportion to the bytes that are there; [Listing.Validate] refuses one.
//
// A Read or ReadAt of a file is one ReadAt of ra. Copying a file with [io.Copy]
// reads 1 MiB at a time, and ReadFile reads a file of up to 1 MiB at once.
func NewFS(ra io.ReaderAt, l *Listing) *FS { return &FS{ra: ra, root: l.Root} }

// maxLinks bounds the symbolic links that are followed on the way to one file.
const maxLinks = 40

var (
	errLinks  = errors.New("too many levels of symbolic links")
	errExtent = errors.New("the listing has a negative size or offset")
)

// resolve returns the node with a name. With follow it follows a symbolic link
// there.
func (f *FS) resolve(op, name string, follow bool) (*Node, error) {
	fail := func(err error) (*Node, error) { return nil, &fs.PathError{Op: op, Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	if f.root == nil {
		return fail(fs.ErrNotExist)
	}
	trail := []*Node{f.root} // from the root to the present node
	links := 0
	for rest := name; rest != ""; {
		var elem string
		elem, rest, _ = strings.Cut(rest, "/")
		here := trail[len(trail)-1]
		switch {
		case elem == "" || elem == ".":
			continue
		case here.Type != TypeDirectory:
			return fail(fs.ErrNotExist)
		case elem == "..":
			if len(trail) == 1 {
				return fail(fs.ErrNotExist)
			}
			trail = trail[:len(trail)-1]
			continue
		}
		n := here.Entry(elem)
		if n == nil {
			return fail(fs.ErrNotExist)
		}
		if n.Type != TypeSymlink || rest == "" && !follow {
			trail = append(trail, n)
			continue
		}
		if links++; links > maxLinks {
			return fail(errLinks)
		}
		if strings.HasPrefix(n.LinkTarget, "/") {
			return fail(fs.ErrNotExist)
		}
		// A link may lengthen the rest of the path, at most maxLinks times.
		rest = n.LinkTarget + "/" + rest
	}
	n := trail[len(trail)-1]
	if n.Type == TypeSymlink && follow {
		return fail(fs.ErrNotExist) // the root itself
	}
	return n, nil
}

// Open opens a file or directory.
func (f *FS) Open(name string) (fs.File, error) {
	n, err := f.resolve("open", name, true)
	if err != nil {
		return nil, err
	}
	info := nodeInfo{n, base(name)}
	if n.Type == TypeDirectory {
		return &openDir{info: info, path: name}, nil
	}
	if n.Size < 0 || n.ContentOffset < 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errExtent}
	}
	return &openFile{info: info, SectionReader: f.section(n)}, nil
}

// ReadFile returns the contents of a file.
func (f *FS) ReadFile(name string) ([]byte, error) {
	n, err := f.resolve("readfile", name, true)
	if err == nil && n.Type != TypeRegular {
		err = &fs.PathError{Op: "readfile", Path: name, Err: errIsDirectory}
	}
	if err == nil && (n.Size < 0 || n.ContentOffset < 0) {
		err = &fs.PathError{Op: "readfile", Path: name, Err: errExtent}
	}
	if err != nil {
		return nil, err
	}
	// The size may be false: memory grows with the bytes that are there.
	data := make([]byte, 0, min(n.Size, 1<<20))
	r := &openFile{SectionReader: f.section(n), info: nodeInfo{n, name}}
	for int64(len(data)) < n.Size {
		if len(data) == cap(data) {
			data = slices.Grow(data, int(min(int64(len(data)), n.Size-int64(len(data)))))
		}
		k, err := r.Read(data[len(data):min(int64(cap(data)), n.Size)])
		data = data[:len(data)+k]
		if err != nil {
			return data, &fs.PathError{Op: "readfile", Path: name, Err: err}
		}
	}
	return data, nil
}

// ReadDir returns the entries of a directory, sorted by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := f.resolve("readdir", name, true)
	if err == nil && n.Type != TypeDirectory {
		err = &fs.PathError{Op: "readdir", Path: name, Err: errNotDirectory}
	}
	if err != nil {
		return nil, err
	}
	return dirEntries(n.Entries), nil
}

// Stat describes the object with a name. It follows symbolic links.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.stat("stat", name, true) }

// Lstat describes the object with a name. It does not follow a symbolic link
// there.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.stat("lstat", name, false) }

func (f *FS) stat(op, name string, follow bool) (fs.FileInfo, error) {
	n, err := f.resolve(op, name, follow)
	if err != nil {
		return nil, err
	}
	return nodeInfo{n, base(name)}, nil
}

// ReadLink returns the target of a symbolic link.
func (f *FS) ReadLink(name string) (string, error) {
	n, err := f.resolve("readlink", name, false)
	if err == nil && n.Type != TypeSymlink {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		return "", err
	}
	return n.LinkTarget, nil
}

func (f *FS) section(n *Node) *io.SectionReader {
	return io.NewSectionReader(f.ra, n.ContentOffset, n.Size)
}

func base(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// nodeInfo implements fs.FileInfo and fs.DirEntry.
type nodeInfo struct {
	*Node
	name string
}

func (i nodeInfo) Name() string               { return i.name }
func (i nodeInfo) Size() int64                { return i.Node.Size }
func (i nodeInfo) ModTime() time.Time         { return storeTime }
func (i nodeInfo) IsDir() bool                { return i.Node.Type == TypeDirectory }
func (i nodeInfo) Sys() any                   { return i.Node }
func (i nodeInfo) Type() fs.FileMode          { return i.Mode().Type() }
func (i nodeInfo) Info() (fs.FileInfo, error) { return i, nil }
func (i nodeInfo) String() string             { return fs.FormatDirEntry(i) }

func (i nodeInfo) Mode() fs.FileMode {
	switch {
	case i.Node.Type == TypeDirectory:
		return fs.ModeDir | 0o555
	case i.Node.Type == TypeSymlink:
		return fs.ModeSymlink | 0o777
	case i.Node.Executable:
		return 0o555
	}
	return 0o444
}

func dirEntries(nodes []*Node) []fs.DirEntry {
	list := make([]fs.DirEntry, len(nodes))
	for i, n := range nodes {
		list[i] = nodeInfo{n, n.Name}
	}
	return list
}
