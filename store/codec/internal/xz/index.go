package xz

import (
	"bytes"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
)

// indexSum is the count and a hash of the records of a stream's blocks. These
// suffice for the comparison with the index and bound its memory.
type indexSum struct {
	open    bool
	records uint64
	crc     hash.Hash32
}

func (s *indexSum) add(unpadded, unpacked uint64) {
	s.records++
	buf := binary.AppendUvarint(nil, unpadded)
	s.crc.Write(binary.AppendUvarint(buf, unpacked))
}

// number decodes a multibyte integer of at most 63 bits, in its shortest form.
func number(b []byte) (v uint64, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v > 1<<63-1 || n > 1 && b[n-1] == 0 {
		return 0, nil, corrupt("integer")
	}
	return v, b[n:], nil
}

// indexReader reads the index and hashes what it reads.
type indexReader struct {
	r   *Reader
	crc hash.Hash32
	n   uint64
}

func (x *indexReader) byte() (byte, error) {
	b, err := x.r.src.ReadByte()
	if err != nil {
		return 0, noEOF(err)
	}
	x.n++
	x.crc.Write([]byte{b})
	return b, nil
}

func (x *indexReader) number() (uint64, error) {
	var buf []byte
	for len(buf) < 9 {
		b, err := x.byte()
		if err != nil {
			return 0, err
		}
		if buf = append(buf, b); b < 0x80 {
			break
		}
	}
	v, _, err := number(buf)
	return v, err
}

// endStream reads the index and the footer of a stream, and compares the index
// with the blocks.
func (r *Reader) endStream() error {
	x := indexReader{r: r, crc: crc32.NewIEEE()}
	if _, err := x.byte(); err != nil { // the indicator, which advance has found to be 0
		return err
	}
	records, err := x.number()
	if err != nil {
		return err
	}
	if records != r.index.records {
		return corrupt("number of records in the index")
	}
	found := indexSum{crc: crc32.NewIEEE()}
	for range records {
		unpadded, err := x.number()
		if err != nil {
			return err
		}
		unpacked, err := x.number()
		if err != nil {
			return err
		}
		found.add(unpadded, unpacked)
	}
	if found.crc.Sum32() != r.index.crc.Sum32() {
		return corrupt("index does not match the blocks")
	}
	for x.n%4 != 0 {
		b, err := x.byte()
		if err != nil {
			return err
		}
		if b != 0 {
			return corrupt("padding of the index that is not zero")
		}
	}
	var crc [4]byte
	if _, err := io.ReadFull(r.src, crc[:]); err != nil {
		return noEOF(err)
	}
	if binary.LittleEndian.Uint32(crc[:]) != x.crc.Sum32() {
		return corrupt("checksum of the index")
	}
	r.index.open = false
	return r.footer(x.n + 4)
}

func (r *Reader) footer(indexSize uint64) error {
	var footer [12]byte
	if _, err := io.ReadFull(r.src, footer[:]); err != nil {
		return noEOF(err)
	}
	switch {
	case !bytes.Equal(footer[10:], footerMagic):
		return corrupt("expected the footer of a stream")
	case crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer[:]):
		return corrupt("checksum of a stream's footer")
	case (uint64(binary.LittleEndian.Uint32(footer[4:]))+1)*4 != indexSize:
		return corrupt("size of the index in the footer")
	case footer[8] != 0 || footer[9] != r.check:
		return corrupt("flags of the footer")
	}
	return nil
}
