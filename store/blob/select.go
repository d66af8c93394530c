package blob

import (
	"fmt"
	"strings"
)

// Range returns which part of an object of the given size the options select,
// for drivers. A part that begins at or after the end of the object is empty, so
// that a reader can resume at any offset without knowing the size.
func (o GetOptions) Range(size int64) (offset, length int64, err error) {
	if o.Offset < 0 || o.Length < 0 {
		return 0, 0, fmt.Errorf("range from %d of %d bytes: expected neither to be negative", o.Offset, o.Length)
	}
	offset = min(o.Offset, size)
	length = size - offset
	if o.Length > 0 {
		length = min(length, o.Length)
	}
	return offset, length, nil
}

// Selects reports whether a listing with the options yields the key, for
// drivers.
func (o ListOptions) Selects(key string) bool {
	rest, ok := strings.CutPrefix(key, o.Prefix)
	return ok && key > o.StartAfter && !(o.Shallow && strings.Contains(rest, "/"))
}
