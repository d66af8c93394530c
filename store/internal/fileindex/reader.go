package fileindex

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/codec"
)

// Reader reads an index. It is not safe for concurrent use.
type Reader struct {
	source  watched
	body    io.Closer
	in      *bufio.Reader
	dir     storepath.Dir
	last    string
	records uint64
	buf     bytes.Buffer
	err     error
}

// NewReader reads the head of an index. The caller closes the reader.
func NewReader(r io.Reader) (*Reader, error) {
	x := &Reader{source: watched{r: r}}
	plain, err := codec.NewReader("zstd", &x.source, codec.ReaderOptions{MaxMemory: maxWindow, MaxSize: maxSize})
	if err != nil {
		return nil, x.damaged(err)
	}
	x.body, x.in = plain, bufio.NewReaderSize(plain, 64<<10)
	if err := x.head(); err != nil {
		return nil, errors.Join(x.damaged(err), plain.Close())
	}
	return x, nil
}

func (x *Reader) head() error {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(x.in, head); err != nil {
		return err
	}
	if string(head) != magic {
		return formatError("expected the beginning %q, got %q", magic, head)
	}
	for x.dir == "" || x.dir[len(x.dir)-1] != '\n' {
		c, err := x.in.ReadByte()
		if err != nil {
			return err
		}
		if x.dir += storepath.Dir(c); len(x.dir) > maxDir {
			return formatError("expected a store directory of at most %d bytes", maxDir)
		}
	}
	x.dir = x.dir[:len(x.dir)-1]
	if err := x.dir.Validate(); err != nil {
		return formatError("store directory: %v", err)
	}
	return nil
}

// damaged makes an error ErrFormat unless reading the source has failed.
func (x *Reader) damaged(err error) error {
	switch {
	case x.source.err != nil:
		return x.source.err
	case errors.Is(err, ErrFormat):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return formatError("it ends early")
	}
	return formatError("%v", err)
}

// watched keeps the error that its reader ends with.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// StoreDir returns the store directory of the paths.
func (x *Reader) StoreDir() storepath.Dir { return x.dir }

// Next returns the next record, which the next call of Next overwrites. It returns
// io.EOF after the last one of a complete index.
func (x *Reader) Next() (Record, error) {
	if x.err != nil {
		return Record{}, x.err
	}
	r, done, err := x.next()
	switch {
	case err != nil:
		x.err = x.damaged(err)
	case done:
		x.err = io.EOF
	}
	return r, x.err
}

// next reads a record, or reports that the index is complete.
func (x *Reader) next() (r Record, done bool, err error) {
	base, err := x.text(maxBase)
	if err != nil {
		return r, false, err
	}
	if base == "" {
		return r, true, x.end()
	}
	if r.Path, err = storepath.ParseBase(base); err != nil {
		return r, false, formatError("%v", err)
	}
	hashPart := r.Path.HashPart()
	if hashPart <= x.last {
		return r, false, formatError("expected hash parts that rise, got %s after %s", hashPart, x.last)
	}
	x.last = hashPart
	x.records++
	n, err := x.number(MaxRecord)
	if err != nil {
		return r, false, err
	}
	err = x.fill(n)
	r.entries = x.buf.Bytes()
	return r, false, err
}

// end reads the number of records and the end of the data.
func (x *Reader) end() error {
	n, err := x.number(math.MaxInt64)
	if err != nil {
		return err
	}
	if n != x.records {
		return formatError("expected %d paths, got %d", n, x.records)
	}
	switch _, err := x.in.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return formatError("data follows its end")
	default:
		return err
	}
}

func (x *Reader) number(limit uint64) (uint64, error) {
	n, err := binary.ReadUvarint(x.in)
	if n > limit {
		err = formatError("expected a number of at most %d", limit)
	}
	return n, err
}

func (x *Reader) text(limit uint64) (string, error) {
	n, err := x.number(limit)
	if err != nil {
		return "", err
	}
	err = x.fill(n)
	return x.buf.String(), err
}

// fill reads n bytes. It allocates no more than twice what there is to read.
func (x *Reader) fill(n uint64) error {
	x.buf.Reset()
	got, err := io.CopyN(&x.buf, x.in, int64(n))
	if err == nil && uint64(got) != n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Close releases the reader. It does not close what the index is read from.
func (x *Reader) Close() error { return x.body.Close() }
