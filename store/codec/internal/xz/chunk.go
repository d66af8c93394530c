package xz

// chunk decodes the LZMA chunks of a block. Its fields keep their values from
// one chunk to the next, unless the chunk resets them.
type chunk struct {
	window
	model
	rangeDecoder

	state      uint32
	rep        [4]uint32 // distances less one
	lc, lp, pb uint32

	copying int // bytes of a match that are left for the next call
	end     int
	input   input
}

// afterLiteral has the state that follows each state after a literal.
var afterLiteral = [states]uint8{0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5}

// run decodes n bytes into the window, which must have room for them.
func (c *chunk) run(n int) error {
	w := &c.window
	limit := w.pos + n
	if c.copying > 0 {
		k := min(c.copying, n)
		c.copying -= k
		w.copyMatch(int(c.rep[0])+1, k)
	}
	m, in := &c.model, &c.input
	ip, rng, code := c.ip, c.rng, c.code
	state := c.state
	rep0, rep1, rep2, rep3 := c.rep[0], c.rep[1], c.rep[2], c.rep[3]
	pbMask, lpMask, lc := uint32(1)<<c.pb-1, uint32(1)<<c.lp-1, c.lc&15
	buf := w.buf
	ring := len(buf) - windowSlack
	var b uint32
	for pos := w.pos; pos < limit; pos = w.pos {
		posState := uint32(pos) & pbMask % posStates
		ip, rng, code, b = bit(in, ip, rng, code, &m.isMatch[state%states][posState])
		if b == 0 {
			before := pos - 1
			if before < 0 {
				before = ring - 1
			}
			prev := uint32(0)
			if w.full > 0 {
				prev = uint32(buf[before])
			}
			probs := &m.literal[((uint32(pos)&lpMask)<<lc+prev>>(8-lc))%16]
			sym := uint32(1)
			if state < firstLiteralState {
				for range 8 {
					ip, rng, code, b = notBit(in, ip, rng, code, &probs[sym%0x100])
					sym = sym<<1 + 1 + b
				}
			} else {
				src := pos - int(rep0) - 1
				if src < 0 {
					src += ring
				}
				matched, offset := uint32(buf[src]), uint32(0x100)
				for range 8 {
					matched <<= 1
					at := matched & offset
					ip, rng, code, b = notBit(in, ip, rng, code, &probs[(offset+at+sym)%0x400])
					sym = sym<<1 + 1 + b
					offset &= at ^ b
				}
			}
			buf[pos] = byte(sym)
			w.pos++
			if w.full < w.dist {
				w.full++
			}
			state = uint32(afterLiteral[state%states])
			continue
		}
		size := uint32(1)
		ip, rng, code, b = bit(in, ip, rng, code, &m.isRep[state%states])
		if b == 0 {
			rep3, rep2, rep1 = rep2, rep1, rep0
			ip, rng, code, size = length(in, ip, rng, code, &m.match, posState)
			ip, rng, code, rep0 = distance(in, ip, rng, code, m, size)
			state = after(state, 7, 10)
		} else {
			short := false
			ip, rng, code, b = bit(in, ip, rng, code, &m.isRep0[state%states])
			if b == 0 {
				ip, rng, code, b = bit(in, ip, rng, code, &m.isRep0Long[state%states][posState])
				short = b == 0
			} else {
				ip, rng, code, b = bit(in, ip, rng, code, &m.isRep1[state%states])
				if b == 0 {
					rep0, rep1 = rep1, rep0
				} else {
					ip, rng, code, b = bit(in, ip, rng, code, &m.isRep2[state%states])
					if b == 0 {
						rep0, rep1, rep2 = rep2, rep0, rep1
					} else {
						rep0, rep1, rep2, rep3 = rep3, rep0, rep1, rep2
					}
				}
			}
			if short {
				state = after(state, 9, 11)
			} else {
				ip, rng, code, size = length(in, ip, rng, code, &m.rep, posState)
				state = after(state, 8, 11)
			}
		}
		if uint64(rep0) >= uint64(w.full) {
			return errCorrupt
		}
		k := min(int(size), limit-pos)
		c.copying = int(size) - k
		w.copyMatch(int(rep0)+1, k)
	}
	c.ip, c.rng, c.code = normalize(in, ip, rng, code)
	c.state, c.rep = state, [4]uint32{rep0, rep1, rep2, rep3}
	return nil
}

func after(state, literal, other uint32) uint32 {
	if state < firstLiteralState {
		return literal
	}
	return other
}
