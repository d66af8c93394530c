package xz

import (
	"bufio"
	"io"
)

// lzma2 reads the LZMA2 data of a block.
type lzma2 struct {
	chunk
	src       *bufio.Reader
	taken     uint64 // bytes of src
	left      int    // bytes of the chunk that are not decoded yet
	stored    bool   // the chunk is not compressed
	needDict  bool
	needProps bool
	needState bool
	done      bool
}

func (z *lzma2) begin(src *bufio.Reader, dictionary int) {
	z.src, z.taken = src, 0
	z.window.reset(dictionary)
	z.left, z.copying, z.done = 0, 0, false
	z.needDict, z.needProps, z.needState = true, true, true
}

func (z *lzma2) Read(p []byte) (int, error) {
	for {
		if n := z.window.read(p); n > 0 || len(p) == 0 {
			return n, nil
		}
		if z.done {
			return 0, io.EOF
		}
		if z.left == 0 {
			if err := z.next(); err != nil {
				return 0, err
			}
			continue
		}
		n := min(z.left, z.room(), 128<<10)
		if z.stored {
			if err := z.take(z.buf[z.pos : z.pos+n]); err != nil {
				return 0, err
			}
			z.pos += n
			z.full = min(z.full+n, z.dist)
		} else if err := z.run(n); err != nil {
			return 0, err
		}
		if z.left -= n; z.left == 0 && !z.stored && (z.copying > 0 || int(z.ip) != z.end%maxChunk || z.code != 0) {
			return 0, errCorrupt
		}
	}
}

// next reads the header of a chunk, and its bytes if they are compressed.
func (z *lzma2) next() error {
	var head [6]byte
	if err := z.take(head[:1]); err != nil {
		return err
	}
	control := head[0]
	switch {
	case control == 0:
		z.done = true
		return nil
	case control >= 0xe0 || control == 1:
		z.needDict, z.needProps = false, control == 1 || z.needProps
		z.window.reset(z.dist)
	case z.needDict:
		return errCorrupt
	}
	if control < 0x80 {
		if control > 2 {
			return errCorrupt
		}
		if err := z.take(head[:2]); err != nil {
			return err
		}
		z.stored, z.left = true, int(head[0])<<8+int(head[1])+1
		return nil
	}
	h := head[:4]
	if control >= 0xc0 {
		h = head[:5]
	}
	if err := z.take(h); err != nil {
		return err
	}
	z.stored = false
	z.left = int(control&0x1f)<<16 + int(h[0])<<8 + int(h[1]) + 1
	size := int(h[2])<<8 + int(h[3]) + 1
	switch {
	case control >= 0xc0:
		if !z.properties(h[4]) {
			return errCorrupt
		}
		z.needProps = false
		fallthrough
	case control >= 0xa0:
		if z.needProps {
			return errCorrupt
		}
		z.model.reset(1 << (z.lc + z.lp))
		z.state, z.rep, z.needState = 0, [4]uint32{}, false
	case z.needProps || z.needState:
		return errCorrupt
	}
	if err := z.take(z.input[:size]); err != nil {
		return err
	}
	if size < 5 || z.input[0] != 0 {
		return errCorrupt
	}
	z.rng = 1<<32 - 1
	z.code = uint32(z.input[1])<<24 | uint32(z.input[2])<<16 | uint32(z.input[3])<<8 | uint32(z.input[4])
	z.ip, z.end = 5, size
	return nil
}

// take fills p from the source.
func (z *lzma2) take(p []byte) error {
	n, err := io.ReadFull(z.src, p)
	z.taken += uint64(n)
	return noEOF(err)
}

func (z *lzma2) properties(b byte) bool {
	if b > (4*5+4)*9+8 {
		return false
	}
	z.pb, z.lp, z.lc = uint32(b/45), uint32(b/9%5), uint32(b%9)
	return z.lc+z.lp <= 4
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
