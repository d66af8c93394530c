//go:build cgo && libzstd

package libzstd

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/DataDog/zstd"
	"github.com/cespare/xxhash/v2"

	"example.com/nixs3/store/codec/internal/linked"
)

func init() {
	linked.ZstdEncode, linked.ZstdDecode = encode, decode
}

// contexts are freed by their finalizers once the pool drops them.
var contexts = sync.Pool{New: func() any { return zstd.NewCtx() }}

func encode(dst, src []byte, level int) ([]byte, error) {
	c := contexts.Get().(zstd.Ctx)
	defer contexts.Put(c)
	dst = slices.Grow(dst, zstd.CompressBound(len(src))+checksumSize)
	frame, err := c.CompressLevel(dst[len(dst):], src, level)
	if err != nil {
		return nil, fmt.Errorf("libzstd: %w", err)
	}
	frame[descriptor] |= hasChecksum
	frame = binary.LittleEndian.AppendUint32(frame, uint32(xxhash.Sum64(src)))
	return dst[:len(dst)+len(frame)], nil
}

// The binding cannot ask the library for the checksum at the end of a frame,
// by which a reader of a range tells damage.
const (
	descriptor   = 4 // index in a frame
	hasChecksum  = 1 << 2
	checksumSize = 4
)

func decode(dst, frame []byte, size int) ([]byte, error) {
	c := contexts.Get().(zstd.Ctx)
	defer contexts.Put(c)
	dst = slices.Grow(dst, size+1) // the library's pointer to an empty buffer is one past its end
	n, err := c.DecompressInto(dst[len(dst):len(dst)+size+1], frame)
	if err != nil {
		return nil, fmt.Errorf("libzstd: %w", err)
	}
	return dst[:len(dst)+n], nil
}
