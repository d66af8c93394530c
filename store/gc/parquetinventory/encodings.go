package parquetinventory

import (
	"encoding/binary"
	"fmt"

	"github.com/parquet-go/parquet-go/format"
)

// checkValues checks that the values of a page are not more than a page may
// have. A few bytes can stand for billions in all encodings but the plain one.
func checkValues(encoding format.Encoding, data []byte) error {
	switch encoding {
	case format.Plain:
		return nil
	//lint:ignore SA1019 files of the first version of the format have it
	case format.PlainDictionary, format.RLEDictionary:
		if len(data) == 0 {
			return nil
		}
		return checkRuns(data[1:], data[0])
	case format.RLE:
		if len(data) < 4 {
			return fmt.Errorf("%w: the length of runs is missing", errBounds)
		}
		return checkRuns(data[4:], 1)
	case format.DeltaBinaryPacked, format.DeltaLengthByteArray:
		return checkDelta(data)
	}
	return fmt.Errorf("the encoding %v is not read", encoding)
}

// checkRuns checks runs of values of so many bits, which are repeated or packed.
func checkRuns(data []byte, bits byte) error {
	if bits > 32 {
		return fmt.Errorf("%w: values of %d bits", errBounds, bits)
	}
	total := uint64(0)
	for len(data) > 0 {
		head, n := binary.Uvarint(data)
		if n <= 0 || head>>1 > valuesLimit {
			return fmt.Errorf("%w: a run of %d values", errBounds, head>>1)
		}
		count, length := head>>1, uint64(bits+7)/8
		if head&1 != 0 {
			count, length = count*8, count*uint64(bits)
		}
		if total += count; total > valuesLimit {
			return fmt.Errorf("%w: runs of more than %d values", errBounds, valuesLimit)
		}
		data = data[min(uint64(len(data)), uint64(n)+length):]
	}
	return nil
}

// checkDelta checks the head of delta-encoded integers.
func checkDelta(data []byte) error {
	for _, limit := range []uint64{64 << 10, 1 << 10, valuesLimit} { // a block, its parts, all values
		v, n := binary.Uvarint(data)
		if n <= 0 || v > limit {
			return fmt.Errorf("%w: %d where at most %d are read", errBounds, v, limit)
		}
		data = data[n:]
	}
	return nil
}
