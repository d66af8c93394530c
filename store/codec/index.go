package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
)

// ErrNoIndex is returned where the pieces of compressed data are not known
// without reading all of it.
var ErrNoIndex = errors.New("no index of the compressed data")

// Bounds of an index that is read from outside.
const (
	maxPiece  = 128 << 20 // bytes of a piece, compressed or not, that are decoded at a time
	maxPieces = 1 << 22
)

// Index says where in compressed data the pieces begin that decode by
// themselves: frames of zstd, blocks of xz. Its text form is the seek table of
// the zstd seekable format, which is a skippable frame.
type Index struct {
	codec  string
	pieces []piece // in the order of the data, without gaps between what they decode to
	size   int64   // of what the data decodes to
}

// piece is one of the pieces: n bytes at offset that decode to size bytes of
// which the first is at start.
type piece struct {
	offset, n   int64
	start, size int64
	check       byte // the type of check of an xz block
}

// Size returns how many bytes the data decodes to, as the index says.
func (x *Index) Size() int64 { return x.size }

// Pieces returns the number of pieces.
func (x *Index) Pieces() int { return len(x.pieces) }

// add appends a piece.
func (x *Index) add(offset, n, size int64, check byte) error {
	if n <= 0 || size < 0 || n > maxPiece || size > maxPiece {
		return fmt.Errorf("%w: piece of %d bytes that decodes to %d, at most %d are read", ErrNoIndex, n, size, maxPiece)
	}
	if len(x.pieces) == maxPieces {
		return fmt.Errorf("%w: more than %d pieces", ErrNoIndex, maxPieces)
	}
	if size > 0 {
		x.pieces = append(x.pieces, piece{offset, n, x.size, size, check})
	}
	x.size += size
	return nil
}

// find returns the number of the piece that has the byte at off.
func (x *Index) find(off int64) int {
	return sort.Search(len(x.pieces), func(i int) bool { return x.pieces[i].start+x.pieces[i].size > off })
}

// FindIndex reads the index that compressed data of size bytes carries at its
// end: a zstd seek table, or the index of an xz stream. It fails with
// ErrNoIndex where there is none, or one that makes no sense. It asks ra for the
// last 64 KiB, and for more only where the index is larger.
func FindIndex(name string, ra io.ReaderAt, size int64) (*Index, error) {
	switch name {
	case "zstd":
		return findSeekTable(ra, size)
	case "xz":
		return findXZIndex(ra, size)
	}
	return nil, fmt.Errorf("%w: %s has none", ErrNoIndex, name)
}

// BuildIndex makes the index of zstd data of size bytes that carries none, in
// one pass that decodes nothing. It fails with ErrNoIndex where the frames do
// not state the size of their contents, or are too large to be decoded at a
// time.
func BuildIndex(name string, r io.Reader, size int64) (*Index, error) {
	if name != "zstd" {
		return nil, fmt.Errorf("%w: %s has none", ErrNoIndex, name)
	}
	return scanZstd(r, size)
}

// tail reads the last bytes of data.
const tailSize = 64 << 10

func tail(ra io.ReaderAt, size, n int64) ([]byte, error) {
	b := make([]byte, min(n, size))
	if _, err := ra.ReadAt(b, size-int64(len(b))); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}

// The zstd seekable format: the sizes of the frames in a skippable frame at the
// end of the data.
const (
	seekFrameMagic  = 0x184d2a5e
	seekFooterMagic = 0x8f92eab1
	seekHeader      = 8
	seekFooter      = 9
	seekChecksums   = 0x80 // of the descriptor: each entry has a checksum
	seekReserved    = 0x7c
)

// appendSeekTable appends the seek table of the pieces.
func appendSeekTable(dst []byte, pieces []piece) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, seekFrameMagic)
	dst = le.AppendUint32(dst, uint32(len(pieces)*8+seekFooter))
	for _, p := range pieces {
		dst = le.AppendUint32(dst, uint32(p.n))
		dst = le.AppendUint32(dst, uint32(p.size))
	}
	dst = le.AppendUint32(dst, uint32(len(pieces)))
	dst = append(dst, 0)
	return le.AppendUint32(dst, seekFooterMagic)
}

// MarshalBinary returns the index as a zstd seek table. Only the index of zstd
// data has one.
func (x *Index) MarshalBinary() ([]byte, error) {
	if x.codec != "zstd" {
		return nil, fmt.Errorf("index of %s: %w", x.codec, errors.ErrUnsupported)
	}
	// Entries for what lies between the frames keep the offsets right.
	var entries []piece
	at := int64(0)
	for _, p := range x.pieces {
		if p.offset > at {
			entries = append(entries, piece{n: p.offset - at})
		}
		entries = append(entries, p)
		at = p.offset + p.n
	}
	return appendSeekTable(nil, entries), nil
}

// ParseIndex reads what MarshalBinary returns, for zstd data of size bytes.
func ParseIndex(data []byte, size int64) (*Index, error) {
	x, _, err := parseSeekTable(data, size)
	return x, err
}

func findSeekTable(ra io.ReaderAt, size int64) (*Index, error) {
	b, err := tail(ra, size, tailSize)
	if err != nil {
		return nil, err
	}
	length, err := seekTableSize(b)
	if err != nil {
		return nil, err
	}
	if length > size {
		return nil, fmt.Errorf("%w: seek table of %d bytes in data of %d", ErrNoIndex, length, size)
	}
	if length > int64(len(b)) {
		if b, err = tail(ra, size, length); err != nil {
			return nil, err
		}
	}
	table := b[int64(len(b))-length:]
	x, end, err := parseSeekTable(table, size-length)
	if err == nil && end != size-length {
		return nil, fmt.Errorf("%w: seek table for %d bytes, data has %d", ErrNoIndex, end, size-length)
	}
	return x, err
}

// seekTableSize returns the size of the seek table that b ends with.
func seekTableSize(b []byte) (int64, error) {
	le := binary.LittleEndian
	if len(b) < seekHeader+seekFooter || le.Uint32(b[len(b)-4:]) != seekFooterMagic {
		return 0, ErrNoIndex
	}
	footer := b[len(b)-seekFooter:]
	entry := int64(8)
	if footer[4]&seekChecksums != 0 {
		entry = 12
	}
	n := int64(le.Uint32(footer))
	if footer[4]&seekReserved != 0 || n > maxPieces {
		return 0, fmt.Errorf("%w: seek table with %d frames and descriptor %#x", ErrNoIndex, n, footer[4])
	}
	return seekHeader + n*entry + seekFooter, nil
}

// parseSeekTable reads a whole seek table for size bytes of frames. It returns
// the end of the last frame.
func parseSeekTable(table []byte, size int64) (*Index, int64, error) {
	length, err := seekTableSize(table)
	if err != nil {
		return nil, 0, err
	}
	le := binary.LittleEndian
	if length != int64(len(table)) || le.Uint32(table) != seekFrameMagic || int64(le.Uint32(table[4:])) != length-seekHeader {
		return nil, 0, fmt.Errorf("%w: header and footer of the seek table disagree", ErrNoIndex)
	}
	footer := table[len(table)-seekFooter:]
	entry := 8
	if footer[4]&seekChecksums != 0 {
		entry = 12
	}
	x := &Index{codec: "zstd"}
	at := int64(0)
	for entries := table[seekHeader : len(table)-seekFooter]; len(entries) > 0; entries = entries[entry:] {
		n, decoded := int64(le.Uint32(entries)), int64(le.Uint32(entries[4:]))
		if decoded > 0 || n > maxPiece {
			if err := x.add(at, n, decoded, 0); err != nil {
				return nil, 0, err
			}
		}
		if at += n; at > size {
			return nil, 0, fmt.Errorf("%w: seek table for more than the %d bytes of data", ErrNoIndex, size)
		}
	}
	return x, at, nil
}
