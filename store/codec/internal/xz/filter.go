package xz

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Filter IDs of the specification, section 5.3.
const (
	filterDelta    = 0x03
	filterX86      = 0x04
	filterPowerPC  = 0x05
	filterIA64     = 0x06
	filterARM      = 0x07
	filterARMThumb = 0x08
	filterSPARC    = 0x09
	filterARM64    = 0x0a
	filterRISCV    = 0x0b
	filterLZMA2    = 0x21
)

// branchFilters convert the absolute addresses of branches back into relative
// ones. A filter gets the bytes from pos of the data on and returns how many of
// them are final; the next call gets the rest again, followed by more.
var branchFilters = map[uint64]func() func(b []byte, pos uint32) int{
	filterX86:      newX86,
	filterPowerPC:  stateless(powerPC),
	filterIA64:     stateless(ia64),
	filterARM:      stateless(arm),
	filterARMThumb: stateless(armThumb),
	filterSPARC:    stateless(sparc),
	filterARM64:    stateless(arm64),
}

func stateless(f func([]byte, uint32) int) func() func([]byte, uint32) int {
	return func() func([]byte, uint32) int { return f }
}

// newFilter returns a reader that reverses a filter other than LZMA2.
func newFilter(src io.Reader, id uint64, properties []byte) (io.Reader, error) {
	if id == filterDelta {
		if len(properties) != 1 {
			return nil, fmt.Errorf("%w: delta filter with %d bytes of properties, expected 1", ErrFormat, len(properties))
		}
		return &deltaReader{src: src, distance: int(properties[0]) + 1}, nil
	}
	branch, ok := branchFilters[id]
	switch {
	case id == filterRISCV:
		return nil, fmt.Errorf("%w: RISC-V filter (0x%02x)", ErrUnsupported, id)
	case !ok:
		return nil, fmt.Errorf("%w: filter 0x%02x", ErrUnsupported, id)
	}
	f := &branchReader{src: src, filter: branch(), buf: make([]byte, 0, 16<<10)}
	switch len(properties) {
	case 0:
	case 4:
		f.pos = binary.LittleEndian.Uint32(properties)
	default:
		return nil, fmt.Errorf("%w: branch filter with %d bytes of properties, expected 0 or 4", ErrFormat, len(properties))
	}
	return f, nil
}

// deltaReader adds to each byte the one that came distance bytes before.
type deltaReader struct {
	src      io.Reader
	distance int
	history  [256]byte
	pos      uint8
}

func (d *deltaReader) Read(p []byte) (int, error) {
	n, err := d.src.Read(p)
	for i := range p[:n] {
		d.pos--
		p[i] += d.history[d.pos+uint8(d.distance)]
		d.history[d.pos] = p[i]
	}
	return n, err
}

// branchReader applies a branch filter to what it reads.
type branchReader struct {
	src    io.Reader
	filter func(b []byte, pos uint32) int
	pos    uint32 // of buf[final] in the data
	buf    []byte
	out    int // buf[out:final] is to be read
	final  int
	err    error // of src
}

func (f *branchReader) Read(p []byte) (int, error) {
	for f.out == f.final {
		if f.err != nil && f.final == len(f.buf) {
			return 0, f.err
		}
		f.buf = f.buf[:copy(f.buf[:cap(f.buf)], f.buf[f.final:])]
		f.out, f.final = 0, 0
		if f.err == nil {
			var n int
			n, f.err = f.src.Read(f.buf[len(f.buf):cap(f.buf)])
			f.buf = f.buf[:len(f.buf)+n]
		}
		if f.err != nil && f.err != io.EOF {
			return 0, f.err
		}
		n := f.filter(f.buf, f.pos)
		f.pos += uint32(n)
		f.final = n
		if f.err == io.EOF {
			f.final = len(f.buf) // too short for a branch
		}
	}
	n := copy(p, f.buf[f.out:f.final])
	f.out += n
	return n, nil
}
