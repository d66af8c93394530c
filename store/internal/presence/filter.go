package presence

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/FastFilter/xorfilter"

	"example.com/nixs3/narinfo/nixhash"
)

// The filter of an index is a binary fuse filter with a byte for each slot:
//
//	seed                u64, little endian
//	segment length      u32, a power of two
//	number of segments  u32
//	slots               (number of segments + 2) · segment length bytes
//
// An index of no paths has an empty filter.
const filterHead = 16

// maxSegment is the greatest segment length that the library chooses.
const maxSegment = 1 << 18

// Key returns the key of a path in the filter: 64 bits of its hash part.
func Key(hashPart string) (uint64, error) {
	hash, err := nixhash.DecodeNix32(hashPart)
	if err != nil {
		return 0, err
	}
	if len(hash) != 20 {
		return 0, fmt.Errorf("%q is not a hash part", hashPart)
	}
	return binary.LittleEndian.Uint64(hash), nil
}

// filter is a filter that was read. The zero value has nothing.
type filter struct{ fuse *xorfilter.BinaryFuse[uint8] }

func (f filter) has(key uint64) bool { return f.fuse != nil && f.fuse.Contains(key) }

// buildFilter returns the filter of keys, which it sorts.
func buildFilter(keys []uint64) ([]byte, error) {
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) == 0 {
		return nil, nil
	}
	f, err := xorfilter.NewBinaryFuse[uint8](keys)
	if err != nil {
		return nil, fmt.Errorf("filter of %d paths: %w", len(keys), err)
	}
	b := make([]byte, 0, filterHead+len(f.Fingerprints))
	b = binary.LittleEndian.AppendUint64(b, f.Seed)
	b = binary.LittleEndian.AppendUint32(b, f.SegmentLength)
	b = binary.LittleEndian.AppendUint32(b, f.SegmentCount)
	return append(b, f.Fingerprints...), nil
}

// parseFilter returns the filter in data, which it keeps. It checks all that
// keeps lookups within the slots.
func parseFilter(data []byte, paths int64) (filter, error) {
	if len(data) == 0 && paths == 0 {
		return filter{}, nil
	}
	if len(data) < filterHead {
		return filter{}, fmt.Errorf("%w: expected a filter, got %d bytes", ErrFormat, len(data))
	}
	f := &xorfilter.BinaryFuse[uint8]{
		Seed:          binary.LittleEndian.Uint64(data),
		SegmentLength: binary.LittleEndian.Uint32(data[8:]),
		SegmentCount:  binary.LittleEndian.Uint32(data[12:]),
		Fingerprints:  data[filterHead:],
	}
	length, slots := uint64(f.SegmentLength), uint64(len(f.Fingerprints))
	switch {
	case bits.OnesCount32(f.SegmentLength) != 1 || f.SegmentLength > maxSegment:
		return filter{}, fmt.Errorf("%w: expected a segment length that is a power of two, at most %d, got %d", ErrFormat, maxSegment, length)
	case f.SegmentCount == 0 || (uint64(f.SegmentCount)+2)*length != slots:
		return filter{}, fmt.Errorf("%w: expected %d segments of %d bytes, got %d bytes", ErrFormat, uint64(f.SegmentCount)+2, length, slots)
	}
	f.SegmentLengthMask = f.SegmentLength - 1
	f.SegmentCountLength = f.SegmentCount * f.SegmentLength
	return filter{f}, nil
}
