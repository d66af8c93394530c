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
		NewReader: newBrotliReader,
		NewWriter: newBrotliWriter,
	}
}

var brotliDecoders = sync.Pool{New: func() any { return new(brotli.Reader) }}

func newBrotliReader(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	br := bufio.NewReader(r) // r itself where it is buffered
	if first, err := br.Peek(1); err == nil {
		if window := brotliWindow(first[0]); window > o.maxMemory() {
			return nil, fmt.Errorf("%w: expected a window of at most %d bytes, got %d", ErrMemory, o.maxMemory(), window)
		}
	}
	d := brotliDecoders.Get().(*brotli.Reader)
	src := &brotliSource{br: br}
	if err := d.Reset(src); err != nil {
		return nil, err
	}
	stream := pooled{d, func() { brotliDecoders.Put(d) }}
	// The decoder does not report how many bytes it left, so only the last one
	// is known to follow the stream.
	return zeroTail{stream, br, func(err error) bool {
		return err == io.EOF || err.Error() == brotliTrailing && src.last == 0
	}}, nil
}

// brotliSource reads in pieces of which the last is not short. The decoder takes
// a short last piece for data after the end: it has copied the end of the piece
// before to a buffer of 8 bytes, and does not notice that this was used up.
type brotliSource struct {
	br   *bufio.Reader
	last byte // the last byte read
}

func (s *brotliSource) Read(p []byte) (int, error) {
	const keep = 64
	ahead, err := s.br.Peek(2 * keep)
	n := len(ahead)
	if err == nil {
		n = s.br.Buffered() - keep
	}
	if n == 0 {
		return 0, err
	}
	n, err = s.br.Read(p[:min(n, len(p))])
	if n > 0 {
		s.last = p[n-1]
	}
	return n, err
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

// brotliDefault is a level for bulk work. Nix's default is 11, the slowest.
const brotliDefault = 5

// brotliEncoders holds the encoders of each level.
var brotliEncoders [brotli.BestCompression + 1]sync.Pool

func newBrotliWriter(w io.Writer, o WriterOptions) (io.WriteCloser, error) {
	level, err := o.level(brotliDefault, 1, brotli.BestCompression)
	if err != nil {
		return nil, err
	}
	enc, ok := brotliEncoders[level].Get().(resetWriter)
	switch {
	case ok:
		enc.Reset(w)
	case level <= 9:
		enc = brotli.NewWriterV2(w, level) // the faster one, as far as it goes
	default:
		enc = brotli.NewWriterLevel(w, level)
	}
	return &pooledWriter{enc: enc, pool: &brotliEncoders[level]}, nil
}
