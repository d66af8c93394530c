package codec

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	xzread "github.com/mikelolasagasti/xz"
	xzwrite "github.com/ulikunitz/xz"
)

func xzCodec() Codec {
	return Codec{
		Name:      "xz",
		Extension: ".xz",
		Detect:    hasMagic([]byte("\xfd7zXZ\x00")),
		NewReader: newXZReader,
		NewWriter: newXZWriter,
	}
}

// xzDecoders are those with the default limit, which a decoder cannot change.
// They keep their dictionaries.
var xzDecoders sync.Pool

func newXZReader(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	limit := uint32(min(o.maxMemory(), math.MaxUint32))
	var d *xzread.Reader
	var err error
	if limit == DefaultMaxMemory {
		d, _ = xzDecoders.Get().(*xzread.Reader)
	}
	if d != nil {
		err = d.Reset(r)
	} else {
		d, err = xzread.NewReader(r, limit)
	}
	x := xzReader{d, r, limit}
	if err != nil {
		return nil, x.explain(err)
	}
	return pooled{x, func() {
		if limit == DefaultMaxMemory {
			xzDecoders.Put(d)
		}
	}}, nil
}

type xzReader struct {
	d     *xzread.Reader
	src   io.Reader
	limit uint32
}

func (x xzReader) Read(p []byte) (int, error) {
	n, err := x.d.Read(p)
	return n, x.explain(err)
}

// explain tells truncation from corruption, which the decoder reports alike:
// truncated data is at its end.
func (x xzReader) explain(err error) error {
	switch {
	case err == xzread.ErrMemlimit:
		return fmt.Errorf("%w: its dictionary is larger than %d bytes", ErrMemory, x.limit)
	case errors.Is(err, xzread.ErrBuf):
		return io.ErrUnexpectedEOF
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
