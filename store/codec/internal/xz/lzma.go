package xz

var errCorrupt = corrupt("LZMA2")

// Sizes of the LZMA model (the LZMA specification of the LZMA SDK).
const (
	probBits   = 11
	probInit   = 1 << (probBits - 1)
	moveBits   = 5
	topValue   = 1 << 24
	states     = 12
	posStates  = 16
	minMatch   = 2
	lenLow     = 8
	lenMid     = 8
	lenHigh    = 256
	distStates = 4

	firstLiteralState = 7  // states below it follow a literal
	startPosModel     = 4  // distance slots from here have reverse bits
	endPosModel       = 14 // and from here direct bits and align bits

	maxChunk = 1 << 16 // compressed bytes of a chunk of LZMA2
)

type lenModel struct {
	choice, choice2 uint16
	low, mid        [posStates][lenLow]uint16
	high            [lenHigh]uint16
}

// model has the adaptive probabilities.
type model struct {
	isMatch    [states][posStates]uint16
	isRep      [states]uint16
	isRep0     [states]uint16
	isRep1     [states]uint16
	isRep2     [states]uint16
	isRep0Long [states][posStates]uint16
	slot       [distStates][64]uint16
	special    [128]uint16
	align      [16]uint16
	match, rep lenModel
	literal    [16][0x400]uint16 // 0x300 of them used; the rest spares a check of bounds
}

func fill(p []uint16) {
	for i := range p {
		p[i] = probInit
	}
}

func (m *lenModel) reset() {
	m.choice, m.choice2 = probInit, probInit
	for i := range posStates {
		fill(m.low[i][:])
		fill(m.mid[i][:])
	}
	fill(m.high[:])
}

func (m *model) reset(literals int) {
	for i := range states {
		fill(m.isMatch[i][:])
		fill(m.isRep0Long[i][:])
	}
	for _, p := range [][]uint16{m.isRep[:], m.isRep0[:], m.isRep1[:], m.isRep2[:], m.special[:], m.align[:]} {
		fill(p)
	}
	for i := range literals {
		fill(m.literal[i][:])
	}
	for i := range distStates {
		fill(m.slot[i][:])
	}
	m.match.reset()
	m.rep.reset()
}

// rangeDecoder is the state of the range coder between calls of run. The
// functions below take and return it in parts, which the compiler then keeps in
// registers. in has room for every ip, so a chunk that ends too early reads old
// bytes; the check at the end of the chunk finds that.
type rangeDecoder struct {
	ip        uint16 // of the next byte in the chunk
	rng, code uint32
}

type input [maxChunk]byte

func normalize(in *input, ip uint16, rng, code uint32) (uint16, uint32, uint32) {
	if rng < topValue {
		rng <<= 8
		code = code<<8 | uint32(in[ip])
		ip++
	}
	return ip, rng, code
}

// bit decodes a bit that the processor often predicts.
func bit(in *input, ip uint16, rng, code uint32, p *uint16) (uint16, uint32, uint32, uint32) {
	if rng < topValue {
		rng <<= 8
		code = code<<8 | uint32(in[ip])
		ip++
	}
	bound := rng >> probBits * uint32(*p)
	if code < bound {
		*p += (1<<probBits - *p) >> moveBits
		return ip, bound, code, 0
	}
	*p -= *p >> moveBits
	return ip, rng - bound, code - bound, 1
}

// notBit decodes a bit without a branch on it, for bits that look random. It
// returns all ones for 0, and 0 for 1.
func notBit(in *input, ip uint16, rng, code uint32, p *uint16) (uint16, uint32, uint32, uint32) {
	if rng < topValue {
		rng <<= 8
		code = code<<8 | uint32(in[ip])
		ip++
	}
	bound := rng >> probBits * uint32(*p)
	not := uint32(int64(uint64(code)-uint64(bound)) >> 63)
	*p -= uint16((int32(*p) + int32(not)&(1<<moveBits-1-1<<probBits)) >> moveBits)
	return ip, (rng-bound)&^not | bound&not, code - bound&^not, not
}

func length(in *input, ip uint16, rng, code uint32, m *lenModel, posState uint32) (uint16, uint32, uint32, uint32) {
	var b uint32
	tree, least := &m.low[posState%posStates], uint32(minMatch)
	if ip, rng, code, b = bit(in, ip, rng, code, &m.choice); b != 0 {
		tree, least = &m.mid[posState%posStates], minMatch+lenLow
		if ip, rng, code, b = bit(in, ip, rng, code, &m.choice2); b != 0 {
			sym := uint32(1)
			for range 8 {
				ip, rng, code, b = bit(in, ip, rng, code, &m.high[sym%lenHigh])
				sym = sym<<1 | b
			}
			return ip, rng, code, minMatch + lenLow + lenMid + sym - lenHigh
		}
	}
	sym := uint32(1)
	for range 3 {
		ip, rng, code, b = bit(in, ip, rng, code, &tree[sym%8])
		sym = sym<<1 | b
	}
	return ip, rng, code, least + sym - 8
}

// distance reads the distance of a match of length n, less one.
func distance(in *input, ip uint16, rng, code uint32, m *model, n uint32) (uint16, uint32, uint32, uint32) {
	var b uint32
	slots := &m.slot[min(n-minMatch, distStates-1)%distStates]
	slot := uint32(1)
	for range 6 {
		ip, rng, code, b = notBit(in, ip, rng, code, &slots[slot%64])
		slot = slot<<1 + 1 + b
	}
	slot -= 64
	if slot < startPosModel {
		return ip, rng, code, slot
	}
	bits := slot>>1 - 1
	dist := (2 | slot&1) << bits
	if slot < endPosModel {
		sym, base := uint32(1), dist-slot
		for i := range bits {
			ip, rng, code, b = notBit(in, ip, rng, code, &m.special[(base+sym)%128])
			sym = sym<<1 + 1 + b
			dist |= (1 + b) << i
		}
		return ip, rng, code, dist
	}
	v := uint32(0)
	for range bits - 4 {
		ip, rng, code = normalize(in, ip, rng, code)
		rng >>= 1
		code -= rng
		not := uint32(int32(code) >> 31)
		code += rng & not
		v = v<<1 + 1 + not
	}
	dist += v << 4
	sym := uint32(1)
	for i := range uint32(4) {
		ip, rng, code, b = notBit(in, ip, rng, code, &m.align[sym%16])
		sym = sym<<1 + 1 + b
		dist |= (1 + b) << i
	}
	return ip, rng, code, dist
}
