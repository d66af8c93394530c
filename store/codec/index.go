package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
)

// ErrNoIndex is returned if finding the pieces of compressed data would need
// reading all of it.
var ErrNoIndex = errors.New("no index of the compressed data")

// Bounds of an untrusted index.
const (
	maxPiece  = 128 << 20 // bytes of a piece, compressed or not, that are decoded at a time
	maxPieces = 1 << 22
)

// Index holds the positions of the pieces of compressed data that can be decoded
// independently: frames of zstd, blocks of xz. Its binary form is the seek table
// of the zstd seekable format, which is a skippable frame.
type Index struct {
	codec  string
	pieces []piece // in the order of the data, without gaps between what they decode to
	size   int64   // of the decoded data
}

// piece is n bytes at offset that decode to size bytes, the first of them at
// start of the decoded data.
type piece struct {
	offset, n   int64
	start, size int64
	check       byte // the type of check of an xz block
}

// Size returns the size of the decoded data in bytes, as the index states it.
func (x *Index) Size() int64 { return x.size }

// Pieces returns the number of pieces.
func (x *Index) Pieces() int { return len(x.pieces) }

// add appends a piece.
func (x *Index) add(offset, n, size int64, check byte) error {
	if n <= 0 || size < 0 || n > maxPiece || size > maxPiece {
		return fmt.Errorf("%w: expected a piece of 1 to %d bytes before and after decoding, got %d and %d", ErrNoIndex, maxPiece, n, size)
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

// find returns the number of the piece that holds the byte at off.
func (x *Index) find(off int64) int {
	return sort.Search(len(x.pieces), func(i int) bool { return x.pieces[i].start+x.pieces[i].size > off })
}

// FindIndex reads the index at the end of compressed data of size bytes: a zstd
// seek table, or the index of an xz stream. It fails with ErrNoIndex if the index
// is missing or invalid. It reads the last 64 KiB of ra, and more only if the
// index is larger.
func FindIndex(name string, ra io.ReaderAt, size int64) (*Index, error) {
	switch name {
	case "zstd":
		return findSeekTable(ra, size)
	case "xz":
		return findXZIndex(ra, size)
	}
	return nil, fmt.Errorf("%w: the format %s has none", ErrNoIndex, name)
}

// BuildIndex makes the index of zstd data of size bytes without a seek table, in
// one pass that decodes nothing. It fails with ErrNoIndex if a frame does not
// state the size of its contents, or is too large to be decoded at once.
func BuildIndex(name string, r io.Reader, size int64) (*Index, error) {
	if name != "zstd" {
		return nil, fmt.Errorf("%w: the format %s has none", ErrNoIndex, name)
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

// MarshalBinary returns the index as a zstd seek table. It fails for the index of
// xz data.
func (x *Index) MarshalBinary() ([]byte, error) {
	if x.codec != "zstd" {
		return nil, fmt.Errorf("index of %s: %w", x.codec, errors.ErrUnsupported)
	}
	// Entries for the gaps between frames keep the offsets right.
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

// ParseIndex parses the output of MarshalBinary for zstd data of size bytes.
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
		return nil, fmt.Errorf("%w: expected a seek table for %d bytes, got one for %d", ErrNoIndex, size-length, end)
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
			return nil, 0, fmt.Errorf("%w: expected a seek table for %d bytes, got one for more", ErrNoIndex, size)
		}
	}
	return x, at, nil
}
