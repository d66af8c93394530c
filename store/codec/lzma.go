package codec

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/ulikunitz/xz/lzma"
)

const lzmaHeader = 13 // properties, dictionary size (4), size of the contents (8)

func lzmaCodec() Codec {
	return Codec{
		Name:      "lzma",
		Detect:    detectLZMA,
		NewReader: newLZMAReader,
		NewWriter: func(w io.Writer, o WriterOptions) (io.WriteCloser, error) {
			level, err := o.level(lzmaDefault, 1, 9)
			if err != nil {
				return nil, err
			}
			o.Parallel = false // the format has no frames
			return newDictWriter(w, o, lzmaDict(level), func(w io.Writer, dict int) (io.WriteCloser, error) {
				return lzma.WriterConfig{DictCap: dict}.NewWriter(w)
			})
		},
	}
}

// detectLZMA accepts what the xz command accepts: the format has no signature,
// but all its writers use the same properties and round sizes.
func detectLZMA(prefix []byte) bool {
	if len(prefix) < lzmaHeader || prefix[0] != 0x5d {
		return false
	}
	dict := binary.LittleEndian.Uint32(prefix[1:])
	round := bits.OnesCount32(dict) == 1 || bits.OnesCount32(dict) == 2 && dict&(dict<<1) != 0
	size := int64(binary.LittleEndian.Uint64(prefix[5:]))
	return dict >= lzma.MinDictCap && round && size >= -1 && size < 1<<38
}

func newLZMAReader(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	br := bufio.NewReader(r) // r itself where it is buffered
	if _, err := br.Peek(lzmaHeader); err != nil {
		return nil, noEOF(err)
	}
	d, err := openLZMA(br, o)
	if err != nil {
		return nil, err
	}
	return zeroTail{d, br, atEOF}, nil
}

// openLZMA reads the header. The reader reads no byte after the stream.
func openLZMA(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	limit := int64(math.MaxInt32)
	limit = max(min(o.maxMemory(), limit), lzma.MinDictCap)
	d, err := lzma.ReaderConfig{DictCap: int(limit)}.NewReader(r)
	if tooLarge := (*lzma.ErrDictSize)(nil); errors.As(err, &tooLarge) {
		return nil, fmt.Errorf("%w: expected a dictionary of at most %d bytes, got %d", ErrMemory, limit, tooLarge.HeaderDictSize)
	}
	if err != nil {
		return nil, err
	}
	return io.NopCloser(d), nil
}
