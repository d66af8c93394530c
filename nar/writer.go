package nar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// writerBuffer is the size of a Writer's buffer.
const writerBuffer = 256 << 10

// tokenRoom bounds the tokens around one node and its name. That much of the
// buffer stays free when contents are put into it.
const tokenRoom = 1 << 10

// Writer writes a NAR entry by entry, in NAR order: the root first, then each
// directory's entries by name in byte order, each with all that is below it
// before the next. It enforces every rule of the format, so the output is a
// NAR once Close has returned nil.
//
// After an error every call returns the same error. A Writer buffers up to
// 256 KiB; nothing is complete before [Writer.Close]. It is not safe for
// concurrent use.
type Writer struct {
	out   sink
	buf   []byte
	trail trail
	node  Header // the latest; Type is 0 before the first
	left  int64  // contents that are not written yet
	err   error
}

// sink takes full buffers from a Writer.
type sink interface {
	// put takes the bytes of b, and returns an empty buffer to continue with.
	put(b []byte) ([]byte, error)
}

// writerSink puts buffers into an io.Writer.
type writerSink struct{ w io.Writer }

func (s writerSink) put(b []byte) ([]byte, error) {
	n, err := s.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return b[:0], err
}

var errClosed = errors.New("nar: write after Close")

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer {
	return newWriter(writerSink{w}, make([]byte, 0, writerBuffer))
}

func newWriter(out sink, buf []byte) *Writer {
	nw := &Writer{out: out, buf: buf}
	nw.buf = appendString(nw.buf, magic)
	return nw
}

// WriteHeader begins the next file system object. Its directory is the one
// that Path names, which must have been written and not been left for another.
// Contents of a regular file follow through Write or ReadFrom, exactly
// Header.Size bytes. Fields that the object's Type does not have must be zero;
// ContentOffset is ignored.
func (w *Writer) WriteHeader(h *Header) error {
	if w.err != nil {
		return w.err
	}
	if err := checkHeader(h); err != nil {
		return w.fail(h.Path, err)
	}
	if err := w.place(h.Path); err != nil {
		return err
	}
	return w.begin(h)
}

// place closes what is complete and moves to the node with a path.
func (w *Writer) place(path string) error {
	if w.node.Type == 0 {
		if path != "" {
			return w.fail(path, errors.New(`the root, with path "", must come first`))
		}
		return nil
	}
	if path == "" {
		return w.fail(path, errors.New("a NAR has one root only"))
	}
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	depth := w.openDir(dir)
	if depth < 0 || (dir == "" && name != path) {
		return w.fail(path, fmt.Errorf("%q is not a directory that is being written", dir))
	}
	if err := w.closeTo(depth); err != nil {
		return err
	}
	return w.enter(name)
}

// openDir returns the depth of the open directory with a path, or -1.
func (w *Writer) openDir(path string) int {
	last := w.trail.depth
	if w.node.Type != TypeDirectory {
		last--
	}
	for d := last; d >= 0; d-- {
		if end := w.trail.ends[d]; end <= len(path) {
			if string(w.trail.buf[:end]) == path {
				return d
			}
			break
		}
	}
	return -1
}

// enter begins an entry of the present directory.
func (w *Writer) enter(name string) error {
	if err := w.trail.enter([]byte(name)); err != nil {
		path := name
		if dir := w.trail.String(); dir != "" {
			path = dir + "/" + name
		}
		return w.fail(path, err)
	}
	if err := w.room(tokenRoom); err != nil {
		return err
	}
	w.buf = append(w.buf, wireEntry...)
	w.buf = appendString(w.buf, name)
	w.buf = append(w.buf, wireNode...)
	return nil
}

// begin writes the first tokens of a node.
func (w *Writer) begin(h *Header) error {
	if err := w.room(maxToken + tokenRoom); err != nil {
		return err
	}
	w.node = *h
	switch h.Type {
	case TypeDirectory:
		w.buf = append(w.buf, wireDirectory...)
		w.trail.open()
	case TypeSymlink:
		w.buf = append(w.buf, wireSymlink...)
		w.buf = appendString(w.buf, h.LinkTarget)
	case TypeRegular:
		if h.Executable {
			w.buf = append(w.buf, wireExecutable...)
		} else {
			w.buf = append(w.buf, wireRegular...)
		}
		w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(h.Size))
		w.left = h.Size
	}
	return nil
}

// The tokens of the format that always come together.
var (
	wireEntry      = wire("entry", "(", "name")
	wireNode       = wire("node")
	wireDirectory  = wire("(", "type", tagDirectory)
	wireSymlink    = wire("(", "type", tagSymlink, "target")
	wireRegular    = wire("(", "type", tagRegular, "contents")
	wireExecutable = wire("(", "type", tagRegular, "executable", "", "contents")
	wireClose      = wire(")")
)

func wire(tags ...string) []byte {
	var b []byte
	for _, t := range tags {
		b = appendString(b, t)
	}
	return b
}

// closeTo ends nodes until the present one is at a depth.
func (w *Writer) closeTo(depth int) error {
	if w.left > 0 {
		return w.fail(w.trail.String(), fmt.Errorf("%d of %d bytes of contents are missing", w.left, w.node.Size))
	}
	for w.trail.depth > depth || w.node.Type != TypeDirectory {
		if err := w.closeNode(); err != nil {
			return err
		}
		if w.trail.depth == 0 {
			break
		}
		w.buf = append(w.buf, wireClose...)
		w.trail.leave()
		w.node = Header{Type: TypeDirectory}
	}
	return nil
}

// closeNode ends the present node.
func (w *Writer) closeNode() error {
	if err := w.room(tokenRoom); err != nil {
		return err
	}
	if w.node.Type == TypeRegular {
		w.buf = append(w.buf, zeros[:padding(w.node.Size)]...)
	}
	w.buf = append(w.buf, wireClose...)
	return nil
}

// Write writes contents of the present file. More than its Size is an error,
// and nothing of p is written.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if int64(len(p)) > w.left {
		return 0, w.tooLong()
	}
	done := 0
	for done < len(p) {
		if err := w.room(1); err != nil {
			return done, err
		}
		n := copy(w.buf[len(w.buf):cap(w.buf)], p[done:])
		w.buf = w.buf[:len(w.buf)+n]
		w.left -= int64(n)
		done += n
	}
	return done, nil
}

// ReadFrom writes contents of the present file from r until r ends. It fails if r
// has more than is missing, and with [io.ErrNoProgress] if r returns 0, nil a
// hundred times in a row. It reads into the buffer of the Writer. If r is an
// *os.File and the destination an [io.ReaderFrom], the destination reads from
// the file itself.
func (w *Writer) ReadFrom(r io.Reader) (n int64, err error) {
	if w.err != nil {
		return 0, w.err
	}
	if f, ok := r.(*os.File); ok && w.left > writerBuffer {
		if n, err = w.handOver(f); err != nil {
			return n, err
		}
	}
	empty := 0
	for {
		if err := w.room(1); err != nil {
			return n, err
		}
		free := w.buf[len(w.buf):cap(w.buf)]
		if w.left < int64(len(free)) {
			free = free[:w.left+1] // one more, to see the end or that there is none
		}
		k, err := r.Read(free)
		switch {
		case k < 0 || k > len(free):
			return n, w.fail(w.trail.String(), errBadCount)
		case int64(k) > w.left:
			return n, w.tooLong()
		}
		w.buf = w.buf[:len(w.buf)+k]
		w.left -= int64(k)
		n += int64(k)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, w.fail(w.trail.String(), err)
		}
		if empty++; k > 0 {
			empty = 0
		}
		if empty == maxEmptyReads {
			return n, w.fail(w.trail.String(), io.ErrNoProgress)
		}
	}
}

// handOver lets the destination read from f, if it can.
func (w *Writer) handOver(f *os.File) (int64, error) {
	s, ok := w.out.(writerSink)
	if !ok {
		return 0, nil
	}
	rf, ok := s.w.(io.ReaderFrom)
	if !ok {
		return 0, nil
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	n, err := rf.ReadFrom(io.LimitReader(f, w.left))
	w.left -= n
	if err != nil {
		return n, w.fail(w.trail.String(), err)
	}
	return n, nil
}

func (w *Writer) tooLong() error {
	if w.node.Type != TypeRegular {
		return w.fail(w.trail.String(), errors.New("contents of an object that is not a regular file"))
	}
	return w.fail(w.trail.String(), fmt.Errorf("more than %d bytes of contents", w.node.Size))
}

// Close ends the NAR and writes out all that is buffered. It does not close
// the underlying writer. It fails where contents are missing or nothing was
// written at all.
func (w *Writer) Close() error {
	switch {
	case w.err == errClosed:
		return nil
	case w.err != nil:
		return w.err
	case w.node.Type == 0:
		return w.fail("", errors.New("closed without a root"))
	}
	if err := w.closeTo(0); err != nil {
		return err
	}
	if w.node.Type == TypeDirectory {
		if err := w.closeNode(); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.err = errClosed
	return nil
}

// room makes the buffer have n free bytes.
func (w *Writer) room(n int) error {
	if cap(w.buf)-len(w.buf) >= n {
		return nil
	}
	return w.flush()
}

func (w *Writer) flush() error {
	buf, err := w.out.put(w.buf)
	w.buf = buf
	if err != nil {
		w.err = err
	}
	return err
}

func (w *Writer) fail(path string, err error) error {
	w.err = fmt.Errorf("nar: writing %q: %w", path, err)
	return w.err
}

// checkHeader returns why a header is impossible wherever it stands, or nil.
func checkHeader(h *Header) error {
	switch h.Type {
	case TypeRegular:
		if h.Size < 0 {
			return fmt.Errorf("negative size %d", h.Size)
		}
	case TypeSymlink:
		if err := checkTarget([]byte(h.LinkTarget)); err != nil {
			return err
		}
	case TypeDirectory:
	default:
		return fmt.Errorf("unknown type %v", h.Type)
	}
	if h.Type != TypeRegular && (h.Size != 0 || h.Executable) {
		return fmt.Errorf("a %v has neither a size nor an x bit", h.Type)
	}
	if h.Type != TypeSymlink && h.LinkTarget != "" {
		return fmt.Errorf("a %v has no link target", h.Type)
	}
	return nil
}
