package serve

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// errUnsatisfiable is a range that selects nothing of the object.
var errUnsatisfiable = errors.New("range not satisfiable")

// byteRange is a part of an object, which is never empty unless the object is.
type byteRange struct{ offset, length int64 }

// parseRange reads the value of a Range header for an object of the given size.
// It returns nil for a header that a server ignores (RFC 9110, section 14.2):
// an absent one, an unknown unit, malformed text and several ranges.
func parseRange(header string, size int64) (*byteRange, error) {
	unit, spec, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(spec, ",") {
		return nil, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return nil, nil
	}
	if first == "" {
		return suffixRange(last, size)
	}
	begin, ok := position(first)
	if !ok {
		return nil, nil
	}
	end := int64(math.MaxInt64)
	if last != "" {
		if end, ok = position(last); !ok || end < begin {
			return nil, nil
		}
	}
	if begin >= size {
		return nil, errUnsatisfiable
	}
	return &byteRange{begin, min(end, size-1) - begin + 1}, nil
}

// suffixRange selects the last bytes of an object.
func suffixRange(text string, size int64) (*byteRange, error) {
	n, ok := position(text)
	if !ok {
		return nil, nil
	}
	if n == 0 || size == 0 {
		return nil, errUnsatisfiable
	}
	n = min(n, size)
	return &byteRange{size - n, n}, nil
}

// position reads digits. A number that does not fit is the largest one.
func position(text string) (int64, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	return n, true
}

func (b byteRange) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", b.offset, b.offset+b.length-1, size)
}
