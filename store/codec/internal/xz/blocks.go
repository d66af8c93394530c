package xz

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Block is a block of xz data, which decodes independently of the others.
type Block struct {
	Offset   int64 // in the data
	Size     int64 // with header, padding and check
	Unpacked int64 // size of the decoded data
	Check    byte  // the type of its check
}

// Bounds of the indexes that Blocks reads.
const (
	maxStreams = 1 << 10
	maxIndex   = 64 << 20
)

// Blocks reads the indexes of xz data of size bytes, from its end. Its errors
// about invalid indexes wrap ErrFormat.
func Blocks(ra io.ReaderAt, size int64) ([]Block, error) {
	var all []Block // the last stream's first
	data := &backward{ra: ra}
	for end := size; end > 0; {
		if len(all) > maxIndex/8 || maxStreams < len(data.streams) {
			return nil, corrupt("too many streams or blocks for an index")
		}
		blocks, begin, err := data.stream(end)
		if err != nil {
			return nil, err
		}
		data.streams = append(data.streams, blocks)
		end = begin
	}
	for i := len(data.streams) - 1; i >= 0; i-- {
		all = append(all, data.streams[i]...)
	}
	return all, nil
}

// backward reads data from its end, 64 KiB at a time.
type backward struct {
	ra      io.ReaderAt
	buf     []byte
	at      int64
	streams [][]Block
}

// bytes returns n bytes that end at end.
func (b *backward) bytes(end, n int64) ([]byte, error) {
	begin := end - n
	if begin < 0 {
		return nil, corrupt("stream that begins before the data")
	}
	if begin < b.at || end > b.at+int64(len(b.buf)) {
		from := max(0, min(begin, end-64<<10))
		buf := make([]byte, end-from)
		if k, err := b.ra.ReadAt(buf, from); k < len(buf) {
			return nil, noEOF(err)
		}
		b.buf, b.at = buf, from
	}
	return b.buf[begin-b.at : end-b.at], nil
}

// stream reads the index of the stream that ends at end, with its padding, and
// returns where the stream begins.
func (b *backward) stream(end int64) (blocks []Block, begin int64, err error) {
	var footer []byte
	for {
		if footer, err = b.bytes(end, 12); err != nil {
			return nil, 0, err
		}
		if !bytes.Equal(footer[8:], make([]byte, 4)) {
			break
		}
		end -= 4
	}
	if !bytes.Equal(footer[10:], footerMagic) || crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer) {
		return nil, 0, corrupt("expected the footer of a stream")
	}
	flags := [2]byte(footer[8:10])
	size := (int64(binary.LittleEndian.Uint32(footer[4:])) + 1) * 4
	if size > maxIndex {
		return nil, 0, corrupt("index is too large")
	}
	index, err := b.bytes(end-12, size)
	if err != nil {
		return nil, 0, err
	}
	body := index[:len(index)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(index[len(body):]) || body[0] != 0 {
		return nil, 0, corrupt("checksum of the index")
	}
	records, rest, err := number(body[1:])
	if err != nil {
		return nil, 0, err
	}
	var total int64
	for range records {
		var unpadded, unpacked uint64
		if unpadded, rest, err = number(rest); err != nil {
			return nil, 0, err
		}
		if unpacked, rest, err = number(rest); err != nil {
			return nil, 0, err
		}
		padded := int64(unpadded+3) &^ 3
		if unpadded == 0 || unpadded > uint64(end) || total+padded > end {
			return nil, 0, corrupt("blocks of the index are larger than the data")
		}
		blocks = append(blocks, Block{Offset: total, Size: padded, Unpacked: int64(unpacked), Check: flags[1]})
		total += padded
	}
	// Reading the header would cost a request, and the footer repeats its contents.
	if begin = end - 12 - size - total - 12; begin < 0 {
		return nil, 0, corrupt("blocks of the index are larger than the data")
	}
	for i := range blocks {
		blocks[i].Offset += begin + 12
	}
	return blocks, begin, nil
}

// ResetBlock makes the reader read a single block, beginning with its header,
// whose check has the given type.
func (r *Reader) ResetBlock(src *bufio.Reader, check byte, limit int64) error {
	r.Release()
	r.limit, r.ignoreChecks, r.src = limit, false, src
	r.inside, r.err, r.single = false, nil, true
	r.index = indexSum{crc: crc32.NewIEEE()}
	r.setCheck(check)
	r.err = r.beginBlock()
	return r.err
}
