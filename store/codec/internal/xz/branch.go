package xz

import "encoding/binary"

// newX86 returns the filter of CALL and JMP (E8, E9) with 32-bit operands. It
// remembers which of the last bytes looked like opcodes, since an operand that
// overlaps one of them was converted with care.
func newX86() func(b []byte, pos uint32) int {
	var state uint32 // bit n: the byte n+1 before looked like an opcode
	allowed := [8]bool{true, true, true, false, true, false, false, false}
	bits := [8]uint32{0, 1, 2, 2, 3, 3, 3, 3}
	high := func(b byte) bool { return b == 0 || b == 0xff }
	return func(b []byte, pos uint32) int {
		if len(b) < 5 {
			return 0
		}
		last, mask := -1, state
		i := 0
		for ; i < len(b)-4; i++ {
			if b[i]&0xfe != 0xe8 {
				continue
			}
			distance := i - last
			last = i
			if distance > 3 {
				mask = 0
			} else if mask = mask << (distance - 1) & 7; mask != 0 &&
				(!allowed[mask] || high(b[i+4-int(bits[mask])])) {
				mask = mask<<1 | 1
				continue
			}
			if !high(b[i+4]) {
				mask = mask<<1 | 1
				continue
			}
			src := binary.LittleEndian.Uint32(b[i+1:])
			dest := src - (pos + uint32(i) + 5)
			for mask != 0 {
				shift := bits[mask] * 8
				if !high(byte(dest >> (24 - shift))) {
					break
				}
				src = dest ^ (1<<(32-shift) - 1)
				dest = src - (pos + uint32(i) + 5)
			}
			dest &= 1<<25 - 1
			dest |= -(dest & (1 << 24))
			binary.LittleEndian.PutUint32(b[i+1:], dest)
			i += 4
		}
		if distance := i - last; distance > 3 {
			state = 0
		} else {
			state = mask << (distance - 1)
		}
		return i
	}
}

func powerPC(b []byte, pos uint32) int {
	i := 0
	for ; i+4 <= len(b); i += 4 {
		if v := binary.BigEndian.Uint32(b[i:]); v&0xfc000003 == 0x48000001 {
			binary.BigEndian.PutUint32(b[i:], 0x48000001|(v-(pos+uint32(i)))&0x03fffffc)
		}
	}
	return i
}

func arm(b []byte, pos uint32) int {
	i := 0
	for ; i+4 <= len(b); i += 4 {
		if b[i+3] == 0xeb {
			v := binary.LittleEndian.Uint32(b[i:])
			v = (v<<2 - (pos + uint32(i) + 8)) >> 2
			binary.LittleEndian.PutUint32(b[i:], v&0xffffff|0xeb<<24)
		}
	}
	return i
}

func armThumb(b []byte, pos uint32) int {
	i := 0
	for ; i+4 <= len(b); i += 2 {
		if b[i+1]&0xf8 != 0xf0 || b[i+3]&0xf8 != 0xf8 {
			continue
		}
		v := uint32(b[i+1]&7)<<19 | uint32(b[i])<<11 | uint32(b[i+3]&7)<<8 | uint32(b[i+2])
		v = (v<<1 - (pos + uint32(i) + 4)) >> 1
		b[i+1], b[i] = 0xf0|byte(v>>19)&7, byte(v>>11)
		b[i+3], b[i+2] = 0xf8|byte(v>>8)&7, byte(v)
		i += 2
	}
	return i
}

func sparc(b []byte, pos uint32) int {
	i := 0
	for ; i+4 <= len(b); i += 4 {
		v := binary.BigEndian.Uint32(b[i:])
		if v>>22 != 0x100 && v>>22 != 0x1ff {
			continue
		}
		v = (v<<2 - (pos + uint32(i))) >> 2
		binary.BigEndian.PutUint32(b[i:], (0x40000000-v&0x400000)|0x40000000|v&0x3fffff)
	}
	return i
}

func arm64(b []byte, pos uint32) int {
	i := 0
	for ; i+4 <= len(b); i += 4 {
		v, pc := binary.LittleEndian.Uint32(b[i:]), pos+uint32(i)
		switch {
		case v>>26 == 0x25: // BL
			v = 0x94000000 | (v-pc>>2)&0x03ffffff
		case v&0x9f000000 == 0x90000000: // ADRP
			page := v>>29&3 | v>>3&0x001ffffc
			if (page+0x00020000)&0x001c0000 != 0 {
				continue // farther than the filter converts
			}
			page -= pc >> 12
			v = v&0x9000001f | page&3<<29 | page&0x0003fffc<<3 | -(page&0x00020000)&0x00e00000
		default:
			continue
		}
		binary.LittleEndian.PutUint32(b[i:], v)
	}
	return i
}

// ia64Slots says which slots of a bundle hold a branch, by its template.
var ia64Slots = [32]uint8{16: 4, 4, 6, 6, 0, 0, 7, 7, 4, 4, 0, 0, 4, 4, 0, 0}

func ia64(b []byte, pos uint32) int {
	i := 0
	for ; i+16 <= len(b); i += 16 {
		slots := ia64Slots[b[i]&0x1f]
		for slot := range 3 {
			if slots>>slot&1 == 0 {
				continue
			}
			bit := 5 + 41*slot
			at, shift := b[i+bit/8:][:6], bit%8
			v := uint64(binary.LittleEndian.Uint32(at)) | uint64(binary.LittleEndian.Uint16(at[4:]))<<32
			instruction := v >> shift
			if instruction>>37&0xf != 5 || instruction>>9&7 != 0 {
				continue
			}
			address := uint32(instruction>>13&0xfffff | instruction>>36&1<<20)
			address = (address<<4 - (pos + uint32(i))) >> 4
			instruction &^= 0x8fffff << 13
			instruction |= uint64(address&0xfffff)<<13 | uint64(address&0x100000)<<(36-20)
			v = v&(1<<shift-1) | instruction<<shift
			binary.LittleEndian.PutUint32(at, uint32(v))
			binary.LittleEndian.PutUint16(at[4:], uint16(v>>32))
		}
	}
	return i
}
