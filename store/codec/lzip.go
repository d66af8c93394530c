package codec

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math/bits"
	"strings"

	"github.com/ulikunitz/xz/lzma"
)

// A lzip file is a sequence of members: a header, an LZMA stream of fixed
// properties that ends with a marker, and a trailer (manual of lzip, "File
// format").
const (
	lzipMagic      = "LZIP\x01" // with the version
	lzipHeader     = len(lzipMagic) + 1
	lzipTrailer    = 4 + 8 + 8 // CRC-32 and size of the contents, size of the member
	lzipProperties = 0x5d      // lc=3 lp=0 pb=2
)

func lzipCodec() Codec {
	return Codec{
		Name:   "lzip",
		Detect: hasMagic([]byte(lzipMagic)),
		NewReader: func(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
			br := bufio.NewReader(r) // r itself where it is buffered
			return zeroTail{io.NopCloser(&lzipReader{br: br, o: o}), br, atEOF}, nil
		},
		NewWriter: func(w io.Writer, o WriterOptions) (io.WriteCloser, error) {
			level, err := o.level(lzmaDefault, 1, 9)
			if err != nil {
				return nil, err
			}
			return newDictWriter(w, o, lzmaDict(level), newLzipEncoder)
		},
	}
}

// lzipReader reads members one after the other.
type lzipReader struct {
	br     *bufio.Reader
	o      ReaderOptions
	any    bool      // a member was begun
	member *lzmaBody // nil between members
	data   io.Reader // of the member
	crc    hash.Hash32
	size   uint64
}

func (z *lzipReader) Read(p []byte) (int, error) {
	for {
		if z.member == nil {
			if err := z.begin(); err != nil {
				return 0, err
			}
		}
		n, err := z.data.Read(p)
		z.crc.Write(p[:n])
		z.size += uint64(n)
		if err == io.EOF {
			err = z.end()
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

var errLzipHeader = errors.New("not the header of a lzip member of version 1")

// begin reads a member's header. It returns io.EOF where there is none.
func (z *lzipReader) begin() error {
	if head, _ := z.br.Peek(len(lzipMagic)); z.any && (len(head) == 0 || !strings.HasPrefix(lzipMagic, string(head))) {
		return io.EOF // the caller judges what follows the members
	}
	var header [lzipHeader]byte
	if _, err := io.ReadFull(z.br, header[:]); err != nil {
		return err
	}
	code := header[lzipHeader-1]
	dict := uint32(1) << (code & 31)
	dict -= dict / 16 * uint32(code>>5)
	if string(header[:len(lzipMagic)]) != lzipMagic || dict < 4<<10 || dict > 512<<20 {
		return errLzipHeader
	}
	z.member = newLZMABody(z.br, dict)
	data, err := openLZMA(z.member, z.o)
	if err != nil {
		return noEOF(err)
	}
	z.any, z.data, z.crc, z.size = true, data, crc32.NewIEEE(), 0
	return nil
}

var errLzipTrailer = errors.New("checksum or size of a lzip member does not match")

// end checks a member's trailer.
func (z *lzipReader) end() error {
	var trailer [lzipTrailer]byte
	if _, err := io.ReadFull(z.br, trailer[:]); err != nil {
		return noEOF(err)
	}
	memberSize := uint64(lzipHeader) + z.member.n + lzipTrailer
	z.member = nil
	if binary.LittleEndian.Uint32(trailer[0:]) != z.crc.Sum32() ||
		binary.LittleEndian.Uint64(trailer[4:]) != z.size ||
		binary.LittleEndian.Uint64(trailer[12:]) != memberSize {
		return errLzipTrailer
	}
	return nil
}

// lzmaBody prepends the header that package lzma requires to an LZMA stream
// without one, and counts the bytes of the stream.
type lzmaBody struct {
	header []byte
	br     *bufio.Reader
	n      uint64
}

func newLZMABody(br *bufio.Reader, dict uint32) *lzmaBody {
	header := binary.LittleEndian.AppendUint32([]byte{lzipProperties}, dict)
	header = binary.LittleEndian.AppendUint64(header, 1<<64-1) // ends with a marker
	return &lzmaBody{header: header, br: br}
}

// Read returns the header; the stream is read by ReadByte.
func (b *lzmaBody) Read(p []byte) (int, error) {
	n := copy(p, b.header)
	b.header = b.header[n:]
	return n, nil
}

func (b *lzmaBody) ReadByte() (byte, error) {
	c, err := b.br.ReadByte()
	if err == nil {
		b.n++
	}
	return c, err
}

// lzipEncoder writes one member.
type lzipEncoder struct {
	enc  *lzma.Writer
	out  *lzmaBodyWriter
	crc  hash.Hash32
	size uint64
}

// newLzipEncoder takes a power of two for the dictionary.
func newLzipEncoder(w io.Writer, dict int) (io.WriteCloser, error) {
	header := append([]byte(lzipMagic), byte(bits.Len(uint(dict))-1))
	if _, err := w.Write(header); err != nil {
		return nil, err
	}
	out := &lzmaBodyWriter{w: w, skip: lzmaHeader}
	enc, err := lzma.WriterConfig{DictCap: dict}.NewWriter(out)
	if err != nil {
		return nil, fmt.Errorf("LZMA encoder: %w", err)
	}
	return &lzipEncoder{enc: enc, out: out, crc: crc32.NewIEEE()}, nil
}

func (z *lzipEncoder) Write(p []byte) (int, error) {
	n, err := z.enc.Write(p)
	z.crc.Write(p[:n])
	z.size += uint64(n)
	return n, err
}

func (z *lzipEncoder) Close() error {
	if err := z.enc.Close(); err != nil {
		return err
	}
	trailer := binary.LittleEndian.AppendUint32(nil, z.crc.Sum32())
	trailer = binary.LittleEndian.AppendUint64(trailer, z.size)
	trailer = binary.LittleEndian.AppendUint64(trailer, uint64(lzipHeader)+z.out.n+lzipTrailer)
	_, err := z.out.w.Write(trailer)
	return err
}

// lzmaBodyWriter drops the header that package lzma writes, and counts the bytes
// after it.
type lzmaBodyWriter struct {
	w    io.Writer
	skip int
	n    uint64
}

func (b *lzmaBodyWriter) Write(p []byte) (int, error) {
	skipped := min(b.skip, len(p))
	b.skip -= skipped
	n, err := b.w.Write(p[skipped:])
	b.n += uint64(n)
	return skipped + n, err
}
