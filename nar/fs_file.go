package nar

import (
	"errors"
	"io"
	"io/fs"
)

var (
	errIsDirectory  = errors.New("is a directory")
	errNotDirectory = errors.New("not a directory")
)

// openFile is an open regular file of an FS.
type openFile struct {
	*io.SectionReader
	info nodeInfo
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

// Read reports an end of the NAR within the file as an error.
func (f *openFile) Read(p []byte) (int, error) {
	n, err := f.SectionReader.Read(p)
	if err == io.EOF {
		if pos, _ := f.Seek(0, io.SeekCurrent); pos < f.info.Size() {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// ReadAt does the same.
func (f *openFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.SectionReader.ReadAt(p, off)
	if err == io.EOF && off+int64(n) < f.info.Size() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// copyBuffer is how much WriteTo reads at once: where reading is a request, few
// of them.
const copyBuffer = 1 << 20

// WriteTo writes the rest of the file to w. io.Copy calls it, and would
// otherwise read in much smaller pieces.
func (f *openFile) WriteTo(w io.Writer) (n int64, err error) {
	pos, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	left := f.info.Size() - pos
	if left <= 0 {
		return 0, nil
	}
	return io.CopyBuffer(w, struct{ io.Reader }{f}, make([]byte, min(left, copyBuffer)))
}

// openDir is an open directory of an FS.
type openDir struct {
	info nodeInfo
	path string
	next int
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: errIsDirectory}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.info.Entries[d.next:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.next += len(rest)
	return dirEntries(rest), nil
}
