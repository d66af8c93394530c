package codec

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipFrame is the input of one member of a parallel writer's output.
const gzipFrame = 1 << 20

func gzipCodec() Codec {
	return Codec{
		Name:      "gzip",
		Detect:    hasMagic([]byte{0x1f, 0x8b, 8}),
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
	if err := d.Reset(r); err != nil {
		return nil, err
	}
	return pooled{d, func() { gzipDecoders.Put(d) }}, nil
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
	return newFrameWriter(w, o, frameFormat{size: gzipFrame, encode: func(dst, src []byte) ([]byte, error) {
		return encodeStream(dst, src, func(w io.Writer) (io.WriteCloser, error) { return newGzipEncoder(w, level) })
	}}), nil
}

// gzipEncoder goes back to its pool on Close.
type gzipEncoder struct {
	*gzip.Writer
	level int
}

func newGzipEncoder(w io.Writer, level int) (io.WriteCloser, error) {
	enc, ok := gzipEncoders[level].Get().(*gzip.Writer)
	if !ok {
		return newGzipEncoderLevel(w, level)
	}
	enc.Reset(w)
	return gzipEncoder{enc, level}, nil
}

func newGzipEncoderLevel(w io.Writer, level int) (io.WriteCloser, error) {
	enc, err := gzip.NewWriterLevel(w, level)
	if err != nil {
		return nil, err
	}
	return gzipEncoder{enc, level}, nil
}

func (e gzipEncoder) Close() error {
	err := e.Writer.Close()
	gzipEncoders[e.level].Put(e.Writer)
	return err
}

// encodeStream appends src to dst, compressed by a writer made for it.
func encodeStream(dst, src []byte, open func(io.Writer) (io.WriteCloser, error)) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	enc, err := open(buf)
	if err != nil {
		return nil, err
	}
	if _, err := enc.Write(src); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
