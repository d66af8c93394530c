package parquetinventory

import (
	"encoding/binary"
	"fmt"
)

// depthLimit bounds the nesting of structures.
const depthLimit = 32

// walker steps over values in the compact protocol of Thrift.
type walker struct {
	rest     []byte
	elements int // of lists, that may still come
}

// structLength returns the length of a structure at the beginning of data. It
// fails unless all lengths in it are within data, and its lists have at most so
// many elements together.
func structLength(data []byte, elements int) (int, error) {
	w := walker{data, elements}
	if err := w.structure(0); err != nil {
		return 0, err
	}
	return len(data) - len(w.rest), nil
}

func (w *walker) structure(depth int) error {
	if depth > depthLimit {
		return fmt.Errorf("%w: nested more than %d deep", errBounds, depthLimit)
	}
	for {
		head, err := w.next()
		if err != nil || head == 0 {
			return err
		}
		if head>>4 == 0 { // the number of the field follows
			if _, err := w.varint(); err != nil {
				return err
			}
		}
		if kind := head & 0xf; kind > 2 { // a boolean has no more
			if err := w.value(kind, depth+1); err != nil {
				return err
			}
		}
	}
}

// value steps over a value of a kind.
func (w *walker) value(kind byte, depth int) error {
	switch kind {
	case 1, 2, 3: // a byte, or a boolean in a list
		return w.skip(1)
	case 4, 5, 6: // integers
		_, err := w.varint()
		return err
	case 7: // a double
		return w.skip(8)
	case 8: // a string
		n, err := w.varint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case 9, 10: // a list, a set
		return w.list(depth)
	case 12:
		return w.structure(depth)
	}
	return fmt.Errorf("%w: a value of the kind %d", errBounds, kind)
}

func (w *walker) list(depth int) error {
	head, err := w.next()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.varint(); err != nil {
			return err
		}
	}
	if depth > depthLimit || n > uint64(w.elements) {
		return fmt.Errorf("%w: a list of %d elements", errBounds, n)
	}
	w.elements -= int(n)
	for range n {
		if err := w.value(head&0xf, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) next() (byte, error) {
	if len(w.rest) == 0 {
		return 0, fmt.Errorf("%w: it ends early", errBounds)
	}
	b := w.rest[0]
	w.rest = w.rest[1:]
	return b, nil
}

func (w *walker) varint() (uint64, error) {
	v, n := binary.Uvarint(w.rest)
	if n <= 0 {
		return 0, fmt.Errorf("%w: it ends early", errBounds)
	}
	w.rest = w.rest[n:]
	return v, nil
}

func (w *walker) skip(n uint64) error {
	if n > uint64(len(w.rest)) {
		return fmt.Errorf("%w: %d bytes where %d follow", errBounds, n, len(w.rest))
	}
	w.rest = w.rest[n:]
	return nil
}
