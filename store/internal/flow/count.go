package flow

import (
	"io"
	"sync/atomic"
)

// CountReader adds the bytes that are read from r to n. It keeps the WriteTo of
// a reader that has one.
func CountReader(r io.Reader, n *atomic.Int64) io.Reader {
	if w, ok := r.(io.WriterTo); ok {
		return &countedWriterTo{countedReader{r, n}, w}
	}
	return &countedReader{r, n}
}

// CountWriter adds the bytes that are written to w to n.
func CountWriter(w io.Writer, n *atomic.Int64) io.Writer { return &countedWriter{w, n} }

type countedReader struct {
	io.Reader
	n *atomic.Int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

type countedWriterTo struct {
	countedReader
	w io.WriterTo
}

func (c *countedWriterTo) WriteTo(w io.Writer) (int64, error) {
	return c.w.WriteTo(CountWriter(w, c.n))
}

type countedWriter struct {
	io.Writer
	n *atomic.Int64
}

func (c *countedWriter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}
