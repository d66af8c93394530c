package store

import (
	"io"

	"example.com/nixs3/nar"
	"example.com/nixs3/store/codec"
)

// largeFile is the size from which a file begins a piece of the compression, so
// that it can be read without the bytes before it, and equal files become equal
// bytes.
const largeFile = 1 << 20

// pieceWriter passes a NAR on to a codec's writer and begins a piece at the
// start and at the end of the contents of each large file. The bytes are written
// to it after visit has seen the headers among them.
type pieceWriter struct {
	w   io.WriteCloser
	n   int64   // bytes written
	cut []int64 // where pieces begin, in order
}

// visit is called with the headers of the NAR.
func (p *pieceWriter) visit(h *nar.Header) error {
	if h.Type == nar.TypeRegular && h.Size >= largeFile {
		p.cut = append(p.cut, h.ContentOffset, h.ContentOffset+h.Size)
	}
	return nil
}

func (p *pieceWriter) Write(b []byte) (int, error) {
	written := 0
	for len(p.cut) > 0 && p.cut[0] <= p.n+int64(len(b)-written) {
		k := int(p.cut[0] - p.n)
		n, err := p.w.Write(b[written : written+k])
		written, p.n = written+n, p.n+int64(n)
		if err != nil {
			return written, err
		}
		if c, ok := p.w.(codec.Cutter); ok {
			if err := c.Cut(); err != nil {
				return written, err
			}
		}
		p.cut = p.cut[1:]
	}
	n, err := p.w.Write(b[written:])
	p.n += int64(n)
	return written + n, err
}

func (p *pieceWriter) Close() error { return p.w.Close() }
