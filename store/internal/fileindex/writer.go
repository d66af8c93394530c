package fileindex

import (
	"encoding/binary"
	"errors"
	"io"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/codec"
)

// Writer writes an index. It is not safe for concurrent use.
type Writer struct {
	out     io.WriteCloser
	buf     []byte
	last    string
	records uint64
	err     error
}

// NewWriter returns the writer of an index of paths of a store directory. Close
// completes the index. If Close is not called, readers refuse what was written.
func NewWriter(w io.Writer, dir storepath.Dir) (*Writer, error) {
	out, err := codec.NewWriter("zstd", w, codec.WriterOptions{})
	if err != nil {
		return nil, err
	}
	x := &Writer{out: out, buf: []byte(magic + string(dir) + "\n")}
	return x, x.flush()
}

// Add writes a record. Its hash part must be greater than that of the last one.
func (x *Writer) Add(r Record) error {
	if hashPart := r.Path.HashPart(); hashPart <= x.last {
		return formatError("expected hash parts that rise, got %s after %s", hashPart, x.last)
	}
	x.last = r.Path.HashPart()
	x.records++
	x.buf = appendText(x.buf, r.Path.String())
	x.buf = binary.AppendUvarint(x.buf, uint64(len(r.entries)))
	if err := x.flush(); err != nil {
		return err
	}
	x.buf = append(x.buf, r.entries...)
	return x.flush()
}

func (x *Writer) flush() error {
	if x.err == nil {
		_, x.err = x.out.Write(x.buf)
	}
	x.buf = x.buf[:0]
	return x.err
}

// Close writes the end of the index.
func (x *Writer) Close() error {
	x.buf = binary.AppendUvarint(append(x.buf, 0), x.records)
	return errors.Join(x.flush(), x.out.Close())
}

// Abort releases the writer of an index that will not be completed.
func (x *Writer) Abort() { _ = x.out.Close() }
