package codec

import (
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
