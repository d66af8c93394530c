package xz

import "encoding/binary"

// window is the dictionary, a ring of the last decoded bytes. It begins small
// and grows up to the size that the stream states, so that a short stream takes
// little memory.
type window struct {
	buf  []byte // a ring of len(buf)-windowSlack bytes, and room to write past its end
	size int    // of the fully grown ring, a multiple of 16
	dist int    // the largest distance that the stream may use
	pos  int    // of the next byte
	out  int    // of the first unread byte
	full int    // number of valid bytes
}

// windowSlack lets a copy write in steps of 16 bytes. It also keeps the bytes
// that such a step overwrites out of every distance.
const (
	windowSlack = 32
	windowFirst = 64 << 10
)

func (w *window) reset(dictionary int) {
	w.dist = dictionary
	w.size = (dictionary + windowSlack + 15) &^ 15
	w.pos, w.out, w.full = 0, 0, 0
	if len(w.buf) > w.size+windowSlack {
		w.buf = w.buf[:w.size+windowSlack]
	}
}

// ring is the present size of the ring.
func (w *window) ring() int { return max(len(w.buf)-windowSlack, 0) }

// room returns how many bytes can be decoded before some must be read or the
// ring wraps around. It grows the ring, or wraps it around.
func (w *window) room() int {
	if w.pos < w.ring() {
		return w.ring() - w.pos
	}
	if w.ring() < w.size {
		grown := make([]byte, min(max(4*w.ring(), windowFirst), w.size)+windowSlack)
		copy(grown, w.buf)
		w.buf = grown
		return w.ring() - w.pos
	}
	if w.out < w.pos {
		return 0
	}
	w.pos, w.out = 0, 0
	return w.ring()
}

// read copies decoded bytes to p.
func (w *window) read(p []byte) int {
	n := copy(p, w.buf[w.out:w.pos])
	w.out += n
	return n
}

// copyMatch appends n bytes from dist bytes ago. The caller has checked both.
func (w *window) copyMatch(dist, n int) {
	buf, pos := w.buf, w.pos
	src := pos - dist
	w.pos += n
	w.full = min(w.full+n, w.dist)
	if src < 0 {
		src += len(buf) - windowSlack
		if k := len(buf) - windowSlack - src; n > k {
			copy(buf[pos:pos+k], buf[src:])
			pos, src, n = pos+k, 0, n-k
			// The rest begins at the start of the ring, no longer after pos.
			copyForward(buf, pos, src, n)
			return
		}
		copy(buf[pos:pos+n], buf[src:src+n])
		return
	}
	copyForward(buf, pos, src, n)
}

// copyForward copies n bytes within buf from src to pos. The ranges may overlap;
// the bytes copied first are then copied again.
func copyForward(buf []byte, pos, src, n int) {
	dist := pos - src
	switch {
	case dist >= 16:
		d, s := buf[pos:pos+n+windowSlack/2], buf[src:src+n+windowSlack/2]
		for i := 0; i < n; i += 16 {
			a, b := s[i:i+16:i+16], d[i:i+16:i+16]
			x, y := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(a[8:])
			binary.LittleEndian.PutUint64(b, x)
			binary.LittleEndian.PutUint64(b[8:], y)
		}
	case dist == 1:
		d, c := buf[pos:pos+n], buf[src]
		for i := range d {
			d[i] = c
		}
	default:
		d, s := buf[pos:pos+n], buf[src:src+n]
		for i := range d {
			d[i] = s[i]
		}
	}
}
