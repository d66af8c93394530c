package nar

import (
	"errors"
	"io"
	"io/fs"
)

// Dump writes the NAR of a file, symbolic link or directory on disk to w. It
// does not follow a symbolic link at path. A regular file is executable when its
// owner may execute it; the rest of its mode does not matter. Devices, sockets
// and named pipes are errors, and so is a file whose size changes while it is
// read. Dump opens without blocking.
//
// One goroutine opens files ahead, another reads them, and the calling one
// writes to w in pieces of up to 512 KiB, so that a w that hashes or compresses
// does not wait for the disk. Both end before Dump returns, also when w panics.
// Memory is bounded by 2 MiB and the names in the directories that lead to a
// file. At most 64 files are open, and 64 directories.
func Dump(w io.Writer, path string, opts ...DumpOption) error {
	o := dumpOptions(opts)
	return writeInBackground(w, func(nw *Writer) error {
		return o.dumpAhead(nw, openTree(path))
	})
}

// DumpFS writes the NAR of a file, symbolic link or directory of fsys to w, as
// [Dump] does for the disk. The name "." is the root of fsys. Symbolic links
// need an fsys that is an [fs.ReadLinkFS]. All calls to fsys come from one
// goroutine.
func DumpFS(w io.Writer, fsys fs.FS, name string, opts ...DumpOption) error {
	o := dumpOptions(opts)
	return writeInBackground(w, func(nw *Writer) error {
		if err := o.walk(&fsTree{fsys: fsys, name: name}, nw.writeFound); err != nil {
			return err
		}
		return nw.Close()
	})
}

const (
	foundBatch = 16 // nodes that change hands at once
	foundAhead = 2  // batches that wait
)

// dumpAhead walks a tree in another goroutine, and so opens files before their
// turn comes.
func (o *options) dumpAhead(w *Writer, root tree) error {
	closeFiles := func(batch []found) {
		for _, n := range batch {
			if n.file != nil {
				n.file.close()
			}
		}
	}
	err := background(foundAhead,
		func(put func([]found) error) error {
			var batch []found
			err := o.walk(root, func(n found) error {
				batch = append(batch, n)
				if len(batch) < foundBatch {
					return nil
				}
				full := batch
				batch = make([]found, 0, foundBatch)
				return put(full)
			})
			if err != nil {
				closeFiles(batch)
				return err
			}
			return put(batch)
		},
		func(batch []found) error {
			for i, n := range batch {
				if err := w.writeFound(n); err != nil {
					closeFiles(batch[i+1:])
					return err
				}
			}
			return nil
		},
		closeFiles)
	if err != nil {
		return err
	}
	return w.Close()
}

var errSizeChanged = errors.New("the size of the file changed while it was read")

// writeFound writes a node of a tree and closes its file.
func (w *Writer) writeFound(n found) error {
	h := Header{Type: n.kind, LinkTarget: n.target}
	if n.file != nil {
		defer n.file.close()
		h.Size, h.Executable = n.file.size(), n.file.executable()
	}
	if n.depth > 0 {
		if err := w.closeTo(n.depth - 1); err != nil {
			return err
		}
		if err := w.enter(n.name); err != nil {
			return err
		}
	}
	if err := checkHeader(&h); err != nil {
		return w.fail(w.trail.String(), err)
	}
	if err := w.begin(&h); err != nil || n.file == nil {
		return err
	}
	read, err := w.ReadFrom(n.file)
	if err == nil && read != h.Size {
		err = w.fail(w.trail.String(), errSizeChanged)
	}
	return err
}
