package xz

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
)

var (
	// ErrFormat is wrapped by errors about data that breaks the format.
	ErrFormat = errors.New("corrupt xz data")
	// ErrUnsupported is wrapped by errors that name a feature of the data that
	// this package lacks.
	ErrUnsupported = errors.New("unsupported xz feature")
	// ErrMemory is returned for a dictionary over the limit, before any of it
	// is allocated.
	ErrMemory = errors.New("dictionary over the limit")
)

func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrFormat, what) }

var (
	headerMagic = []byte("\xfd7zXZ\x00")
	footerMagic = []byte("YZ")
)

// Reader decodes one stream after the other, with the padding that the
// specification allows between and after them. Reset keeps the allocated
// dictionary. A Reader is for one goroutine at a time.
type Reader struct {
	limit        int64
	ignoreChecks bool

	src     *bufio.Reader
	streams int
	lzma2   lzma2

	check  byte // of the stream
	sum    hash.Hash
	index  indexSum
	block  block
	inside bool // a block is open
	single bool // there is only one block, without a stream around it
	err    error
}

// block has the header of a block, and how far the block was read.
type block struct {
	header             uint64 // bytes
	packed, unpacked   uint64 // stated sizes
	hasPacked, hasSize bool
	data               io.Reader
	size               uint64 // bytes decoded
}

// Reset makes the reader read from src, beginning with the header of a stream.
// The reader takes only the streams and their padding from src. limit is the
// largest accepted dictionary in bytes. With ignoreChecks the checksums of
// contents are not computed.
func (r *Reader) Reset(src *bufio.Reader, limit int64, ignoreChecks bool) error {
	r.Release()
	r.limit, r.ignoreChecks, r.src = limit, ignoreChecks, src
	r.streams, r.inside, r.single, r.err = 0, false, false, nil
	r.err = r.beginStream()
	return r.err
}

// Release drops the source. The reader keeps its memory for the next Reset.
func (r *Reader) Release() { r.src, r.lzma2.src, r.block.data = nil, nil, nil }

// Read returns io.EOF after the last stream, and io.ErrUnexpectedEOF if the data
// ends within a stream. An error is final.
func (r *Reader) Read(p []byte) (int, error) {
	for r.err == nil {
		if !r.inside {
			r.err = r.advance()
			continue
		}
		n, err := r.block.data.Read(p)
		r.block.size += uint64(n)
		if r.sum != nil {
			r.sum.Write(p[:n])
		}
		switch {
		case r.block.hasSize && r.block.size > r.block.unpacked:
			n, r.err = 0, corrupt("block is larger than its header says")
		case err == io.EOF:
			r.err = r.endBlock()
		case err != nil:
			r.err = err
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, r.err
}

// advance reads up to the data of the next block.
func (r *Reader) advance() error {
	if r.single {
		return io.EOF
	}
	if r.index.open {
		size, err := r.src.Peek(1)
		if err != nil {
			return noEOF(err)
		}
		if size[0] != 0 {
			return r.beginBlock()
		}
		if err := r.endStream(); err != nil {
			return err
		}
	}
	return r.beginStream()
}

// beginStream reads a stream's header, with the padding before it.
func (r *Reader) beginStream() error {
	if r.streams > 0 {
		for {
			head, err := r.src.Peek(4)
			if len(head) == 0 && err == io.EOF {
				return io.EOF
			}
			if err == io.EOF {
				return io.ErrUnexpectedEOF
			}
			if err != nil {
				return err
			}
			if !bytes.Equal(head, make([]byte, 4)) {
				break
			}
			r.src.Discard(4)
		}
	}
	var header [12]byte
	if _, err := io.ReadFull(r.src, header[:]); err != nil {
		return noEOF(err)
	}
	flags := header[6:8]
	switch {
	case !bytes.Equal(header[:6], headerMagic):
		return corrupt("expected the header of a stream")
	case crc32.ChecksumIEEE(flags) != binary.LittleEndian.Uint32(header[8:]):
		return corrupt("checksum of a stream's header")
	case flags[0] != 0 || flags[1] > 15:
		return fmt.Errorf("%w: stream flags %x", ErrUnsupported, flags)
	}
	r.streams++
	r.setCheck(flags[1])
	r.index = indexSum{open: true, crc: crc32.NewIEEE()}
	return nil
}

// setCheck chooses the check of contents. An unknown check is skipped.
func (r *Reader) setCheck(check byte) {
	r.check, r.sum = check, nil
	if r.ignoreChecks {
		return
	}
	switch check {
	case 1:
		r.sum = crc32.NewIEEE()
	case 4:
		r.sum = crc64.New(crc64Table)
	case 10:
		r.sum = sha256.New()
	}
}

var crc64Table = crc64.MakeTable(crc64.ECMA)

// checkSize is the size of a check in bytes, by its type.
func checkSize(check byte) int {
	if check == 0 {
		return 0
	}
	return 4 << ((check - 1) / 3)
}

// beginBlock reads a block's header and sets up its filters.
func (r *Reader) beginBlock() error {
	first, err := r.src.ReadByte()
	if err != nil {
		return noEOF(err)
	}
	header := make([]byte, (int(first)+1)*4)
	header[0] = first
	if _, err := io.ReadFull(r.src, header[1:]); err != nil {
		return noEOF(err)
	}
	body := header[:len(header)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(header[len(body):]) {
		return corrupt("checksum of a block's header")
	}
	b := block{header: uint64(len(header))}
	flags, fields := body[1], body[2:]
	if flags&0x3c != 0 {
		return fmt.Errorf("%w: block flags %02x", ErrUnsupported, flags)
	}
	if b.hasPacked = flags&0x40 != 0; b.hasPacked {
		if b.packed, fields, err = number(fields); err != nil || b.packed == 0 {
			return corrupt("compressed size of a block")
		}
	}
	if b.hasSize = flags&0x80 != 0; b.hasSize {
		if b.unpacked, fields, err = number(fields); err != nil {
			return corrupt("uncompressed size of a block")
		}
	}
	if b.data, err = r.filters(int(flags&3)+1, fields); err != nil {
		return err
	}
	if r.sum != nil {
		r.sum.Reset()
	}
	r.block, r.inside = b, true
	return nil
}

// filters sets up the chain of a block; the last one is always LZMA2.
func (r *Reader) filters(n int, fields []byte) (io.Reader, error) {
	type filter struct {
		id         uint64
		properties []byte
	}
	var chain []filter
	for range n {
		var f filter
		var size uint64
		var err error
		if f.id, fields, err = number(fields); err != nil {
			return nil, err
		}
		if size, fields, err = number(fields); err != nil || size > uint64(len(fields)) {
			return nil, corrupt("properties of a filter")
		}
		f.properties, fields = fields[:size], fields[size:]
		chain = append(chain, f)
	}
	if len(bytes.Trim(fields, "\x00")) > 0 {
		return nil, fmt.Errorf("%w: more fields in a block's header", ErrUnsupported)
	}
	last := chain[n-1]
	if last.id != filterLZMA2 {
		return nil, fmt.Errorf("%w: expected LZMA2 as the last filter, got 0x%02x", ErrUnsupported, last.id)
	}
	if len(last.properties) != 1 || last.properties[0] > 40 {
		return nil, corrupt("properties of LZMA2")
	}
	code := int64(last.properties[0])
	dictionary := (2 | code&1) << (code/2 + 11)
	if dictionary > r.limit || code == 40 {
		return nil, fmt.Errorf("%w: expected at most %d bytes, got %d", ErrMemory, r.limit, dictionary)
	}
	r.lzma2.begin(r.src, int(dictionary))
	var data io.Reader = &r.lzma2
	for i := n - 2; i >= 0; i-- {
		var err error
		if data, err = newFilter(data, chain[i].id, chain[i].properties); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// endBlock checks the sizes of a block, its padding and its check.
func (r *Reader) endBlock() error {
	r.inside = false
	packed := r.lzma2.taken
	switch {
	case r.block.hasPacked && r.block.packed != packed:
		return corrupt("compressed size of a block")
	case r.block.hasSize && r.block.unpacked != r.block.size:
		return corrupt("uncompressed size of a block")
	}
	if err := r.zeros(int(-packed & 3)); err != nil {
		return err
	}
	var check [64]byte
	stored := check[:checkSize(r.check)]
	if _, err := io.ReadFull(r.src, stored); err != nil {
		return noEOF(err)
	}
	if r.sum != nil {
		got := r.sum.Sum(nil)
		if r.check != 10 {
			reverse(got) // Go has the checksums in big endian
		}
		if !bytes.Equal(got, stored) {
			return corrupt("checksum of a block's contents")
		}
	}
	r.index.add(r.block.header+packed+uint64(len(stored)), r.block.size)
	return nil
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

// zeros reads n bytes that must be zero.
func (r *Reader) zeros(n int) error {
	var padding [4]byte
	if _, err := io.ReadFull(r.src, padding[:n]); err != nil {
		return noEOF(err)
	}
	if padding != [4]byte{} {
		return corrupt("padding that is not zero")
	}
	return nil
}
