package codec

import (
	"bufio"
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipFrame is the input of one member of a parallel writer's output.
const gzipFrame = 1 << 20

var gzipMagic = []byte{0x1f, 0x8b, 8}

func gzipCodec() Codec {
	return Codec{
		Name:      "gzip",
		Detect:    hasMagic(gzipMagic),
		NewReader: newGzipReader,
		NewWriter: newGzipWriter,
	}
}

var gzipDecoders sync.Pool

func newGzipReader(r io.Reader, _ ReaderOptions) (io.ReadCloser, error) {
	d, ok := gzipDecoders.Get().(*gzip.Reader)
	if !ok {
		d = new(gzip.Reader)
	}
	src := bufio.NewReader(r) // r itself where it is buffered
	if err := d.Reset(src); err != nil {
		return nil, err
	}
	d.Multistream(false)
	members := pooled{&gzipMembers{d, src}, func() { gzipDecoders.Put(d) }}
	return zeroTail{members, src, atEOF}, nil
}

// gzipMembers reads one member after the other, and stops at data that is not a
// member.
type gzipMembers struct {
	d   *gzip.Reader
	src *bufio.Reader
}

func (g *gzipMembers) Read(p []byte) (int, error) {
	for {
		n, err := g.d.Read(p)
		if n > 0 || err != io.EOF {
			if err == io.EOF {
				err = nil // the next Read finds out what follows
			}
			return n, err
		}
		if head, _ := g.src.Peek(len(gzipMagic)); len(head) == 0 || !bytes.HasPrefix(gzipMagic, head) {
			return 0, io.EOF
		}
		if err := g.d.Reset(g.src); err != nil {
			return 0, noEOF(err)
		}
		g.d.Multistream(false)
	}
}

// gzipEncoders holds the encoders of each level.
var gzipEncoders [gzip.BestCompression + 1]sync.Pool

func newGzipWriter(w io.Writer, o WriterOptions) (io.WriteCloser, error) {
	level, err := o.level(6, gzip.BestSpeed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if !o.Parallel {
		return newGzipEncoder(w, level)
	}
	return newFrameWriter(w, o, frameFormat{size: gzipFrame, encode: encodeStream(func(w io.Writer, _ int) (io.WriteCloser, error) {
		return newGzipEncoder(w, level)
	})}), nil
}

func newGzipEncoder(w io.Writer, level int) (io.WriteCloser, error) {
	enc, ok := gzipEncoders[level].Get().(*gzip.Writer)
	if ok {
		enc.Reset(w)
	} else {
		var err error
		if enc, err = gzip.NewWriterLevel(w, level); err != nil {
			return nil, err
		}
	}
	return &pooledWriter{enc: enc, pool: &gzipEncoders[level]}, nil
}
