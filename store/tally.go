package store

import (
	"io"
	"sync/atomic"
)

// tallyReader and tallyWriter add up the bytes that pass through them.
type tallyReader struct {
	io.Reader
	n *atomic.Int64
}

func (t *tallyReader) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.n.Add(int64(n))
	return n, err
}

type tallyWriter struct {
	io.Writer
	n *atomic.Int64
}

func (t *tallyWriter) Write(p []byte) (int, error) {
	n, err := t.Writer.Write(p)
	t.n.Add(int64(n))
	return n, err
}

// tallied counts what is read from r, and keeps its WriteTo where it has one.
func tallied(r io.Reader, n *atomic.Int64) io.Reader {
	if w, ok := r.(io.WriterTo); ok {
		return &tallyWriterTo{tallyReader{r, n}, w}
	}
	return &tallyReader{r, n}
}

type tallyWriterTo struct {
	tallyReader
	w io.WriterTo
}

func (t *tallyWriterTo) WriteTo(w io.Writer) (int64, error) {
	return t.w.WriteTo(&tallyWriter{w, t.n})
}
