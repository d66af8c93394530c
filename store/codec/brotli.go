package codec

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
)

func brotliCodec() Codec {
	return Codec{
		Name:      "br",
		Extension: ".br",
		NewReader: newBrotliReader,
		NewWriter: newBrotliWriter,
	}
}

var brotliDecoders = sync.Pool{New: func() any { return new(brotli.Reader) }}

func newBrotliReader(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	br := bufio.NewReader(r) // r itself where it is buffered
	if first, err := br.Peek(1); err == nil {
		if window := brotliWindow(first[0]); window > o.maxMemory() {
			return nil, fmt.Errorf("%w: its window is %d bytes, larger than %d", ErrMemory, window, o.maxMemory())
		}
	}
	d := brotliDecoders.Get().(*brotli.Reader)
	if err := d.Reset(br); err != nil {
		return nil, err
	}
	return pooled{d, func() { brotliDecoders.Put(d) }}, nil
}

// brotliWindow returns the size of the window that the first byte of a stream
// asks for (RFC 7932, section 9.1), and 0 for the large windows that are an
// extension of the format, which the decoder refuses.
func brotliWindow(first byte) int64 {
	wbits := 0
	low, high := first>>1&7, first>>4&7
	switch {
	case first&1 == 0:
		wbits = 16
	case low != 0:
		wbits = 17 + int(low)
	case high == 0:
		wbits = 17
	case high == 1:
		return 0
	default:
		wbits = 8 + int(high)
	}
	return 1 << wbits
}

// brotliDefault is the level whose time and size are near those of zstd's
// higher levels. Nix's is 11, which takes a minute for 30 MB.
const brotliDefault = 5

func newBrotliWriter(w io.Writer, o WriterOptions) (io.WriteCloser, error) {
	level, err := o.level(brotliDefault, 1, brotli.BestCompression)
	if err != nil {
		return nil, err
	}
	if level <= 9 {
		return brotli.NewWriterV2(w, level), nil // the faster implementation, as far as it goes
	}
	return brotli.NewWriterLevel(w, level), nil
}
