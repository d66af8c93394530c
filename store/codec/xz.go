package codec

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"

	xzwrite "github.com/ulikunitz/xz"

	"example.com/nixs3/store/codec/internal/xz"
)

func xzCodec() Codec {
	return Codec{
		Name:      "xz",
		Detect:    hasMagic([]byte("\xfd7zXZ\x00")),
		NewReader: newXZReader,
		NewWriter: newXZWriter,
	}
}

// xzDecoders keep their dictionaries.
var xzDecoders = sync.Pool{New: func() any { return new(xz.Reader) }}

func newXZReader(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	d := xzDecoders.Get().(*xz.Reader)
	release := func() {
		d.Release()
		xzDecoders.Put(d)
	}
	if err := d.Reset(bufio.NewReader(r), o.maxMemory(), o.IgnoreChecksums); err != nil { // r itself where it is buffered
		release()
		return nil, explainXZ(err)
	}
	return pooled{xzReader{d}, release}, nil
}

type xzReader struct{ d *xz.Reader }

func (x xzReader) Read(p []byte) (int, error) {
	n, err := x.d.Read(p)
	return n, explainXZ(err)
}

func explainXZ(err error) error {
	switch {
	case errors.Is(err, xz.ErrMemory):
		return fmt.Errorf("%w: %w", ErrMemory, err)
	case errors.Is(err, xz.ErrUnsupported):
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

func newXZWriter(w io.Writer, o WriterOptions) (io.WriteCloser, error) {
	level, err := o.level(lzmaDefault, 1, 9)
	if err != nil {
		return nil, err
	}
	open := func(w io.Writer, dict int) (io.WriteCloser, error) {
		return xzwrite.WriterConfig{DictCap: dict}.NewWriter(w)
	}
	return newDictWriter(w, o, lzmaDict(level), open)
}

// findXZIndex reads the indexes of the streams.
func findXZIndex(ra io.ReaderAt, size int64) (*Index, error) {
	blocks, err := xz.Blocks(ra, size)
	if errors.Is(err, xz.ErrFormat) {
		return nil, fmt.Errorf("%w: %w", ErrNoIndex, err)
	}
	if err != nil {
		return nil, err
	}
	x := &Index{codec: "xz"}
	for _, b := range blocks {
		if err := x.add(b.Offset, b.Size, b.Unpacked, b.Check); err != nil {
			return nil, err
		}
	}
	return x, nil
}
