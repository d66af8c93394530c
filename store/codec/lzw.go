package codec

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// compressCodec reads the format of Unix's compress command (.Z). The format has
// neither a checksum nor an end mark, so only NarHash and NarSize reveal a
// truncated file.
func compressCodec() Codec {
	return Codec{
		Name:   "compress",
		Detect: hasMagic([]byte(lzwMagic)),
		NewReader: func(r io.Reader, _ ReaderOptions) (io.ReadCloser, error) {
			d, err := newLZWReader(bufio.NewReader(r))
			if err != nil {
				return nil, noEOF(err)
			}
			return io.NopCloser(d), nil
		},
	}
}

const (
	lzwMagic    = "\x1f\x9d"
	lzwMinWidth = 9 // of the codes at the beginning
	lzwMaxWidth = 16
	lzwClear    = 256 // the code that empties the table, where the header says so
)

var (
	errLZWHeader = errors.New("not the header of a compress (.Z) file")
	errLZWCode   = errors.New("code that is not in the table yet")
)

// lzwReader decodes LZW codes of growing width, the least significant bit
// first. The table and the strings it can make need some 260 KiB.
type lzwReader struct {
	br       *bufio.Reader
	maxWidth uint
	first    int // the first free code of an empty table

	width    uint // of the next code
	inGroup  uint // codes read of a group of 8; where the width changes, the rest of the group is filler
	bits     uint32
	bitCount uint

	next     int // the next free code
	previous int // the preceding code; -1: none
	lastByte byte
	prefix   [1 << lzwMaxWidth]uint16
	suffix   [1 << lzwMaxWidth]byte

	stack [1 << lzwMaxWidth]byte // a decoded string, filled from its end
	out   []byte                 // its unread part
}

func newLZWReader(br *bufio.Reader) (*lzwReader, error) {
	var header [len(lzwMagic) + 1]byte
	if _, err := io.ReadFull(br, header[:]); err != nil {
		return nil, err
	}
	flags := header[len(lzwMagic)]
	z := &lzwReader{br: br, maxWidth: uint(flags & 0x1f), first: lzwClear}
	if string(header[:len(lzwMagic)]) != lzwMagic || flags&0x60 != 0 {
		return nil, errLZWHeader
	}
	if z.maxWidth <= lzwMinWidth || z.maxWidth > lzwMaxWidth { // tools disagree on files of 9 bits
		return nil, fmt.Errorf("expected codes of %d to %d bits, got %d", lzwMinWidth+1, lzwMaxWidth, z.maxWidth)
	}
	if flags&0x80 != 0 {
		z.first++
	}
	z.reset()
	return z, nil
}

func (z *lzwReader) reset() {
	z.width, z.next, z.previous = lzwMinWidth, z.first, -1
}

func (z *lzwReader) Read(p []byte) (int, error) {
	for len(z.out) == 0 {
		code, err := z.code()
		if err != nil {
			return 0, err
		}
		if err := z.decode(code); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.out)
	z.out = z.out[n:]
	return n, nil
}

// decode puts the string of a code into out, and a new entry into the table.
func (z *lzwReader) decode(code int) error {
	if code == lzwClear && z.first > lzwClear {
		if err := z.skipGroup(); err != nil {
			return err
		}
		z.reset()
		return nil
	}
	if code > z.next || code == z.next && z.previous < 0 {
		return errLZWCode
	}
	begin, c := len(z.stack), code
	if c == z.next { // the entry that this code completes
		begin--
		z.stack[begin] = z.lastByte
		c = z.previous
	}
	for ; c > 0xff; c = int(z.prefix[c]) {
		begin--
		z.stack[begin] = z.suffix[c]
	}
	begin--
	z.stack[begin] = byte(c)
	z.lastByte = byte(c)
	z.out = z.stack[begin:]
	return z.grow(code)
}

// grow adds an entry and widens the codes when the table is full for their width.
func (z *lzwReader) grow(code int) error {
	if z.previous >= 0 && z.next < 1<<z.maxWidth {
		z.prefix[z.next] = uint16(z.previous)
		z.suffix[z.next] = z.lastByte
		z.next++
	}
	z.previous = code
	if z.next < 1<<z.width || z.width == z.maxWidth {
		return nil
	}
	if err := z.skipGroup(); err != nil {
		return err
	}
	z.width++
	return nil
}

// skipGroup reads the rest of a group of 8 codes. A file may end in it.
func (z *lzwReader) skipGroup() error {
	for z.inGroup != 0 {
		if _, err := z.code(); err == io.EOF || err == io.ErrUnexpectedEOF {
			z.bitCount, z.inGroup = 0, 0
		} else if err != nil {
			return err
		}
	}
	return nil
}

// code reads the next code. It returns io.EOF at the end of the file, which up
// to 7 bits of filler may precede.
func (z *lzwReader) code() (int, error) {
	for z.bitCount < z.width {
		b, err := z.br.ReadByte()
		if err == io.EOF && (z.bitCount >= 8 || z.bits != 0) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		z.bits |= uint32(b) << z.bitCount
		z.bitCount += 8
	}
	code := int(z.bits & (1<<z.width - 1))
	z.bits >>= z.width
	z.bitCount -= z.width
	z.inGroup = (z.inGroup + 1) % 8
	return code, nil
}
