// Package nix32 is Nix's own base 32: the digits
// 0123456789abcdfghijklmnpqrsvwxyz, of the bytes read as one little-endian
// number, the most significant digit first, without padding. 32 bytes become 52
// characters.
package nix32

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"example.com/nixs3/narinfo/internal/charset"
)

const alphabet = "0123456789abcdfghijklmnpqrsvwxyz"

const invalidDigit = 0xff

// values maps a character to its five bits, or to invalidDigit.
var values = func() (table [256]byte) {
	for i := range table {
		table[i] = invalidDigit
	}
	for i, c := range []byte(alphabet) {
		table[c] = byte(i)
	}
	return table
}()

// pairs maps ten bits to their two digits, the first in the low byte.
var pairs = func() (table [1024]uint16) {
	for i := range table {
		table[i] = uint16(alphabet[i>>5]) | uint16(alphabet[i&31])<<8
	}
	return table
}()

var digitSet = charset.Of(alphabet)

// Valid reports whether every character of s is in nix32's alphabet.
func Valid(s string) bool { return digitSet.Outside(s) < 0 }

// TextLen returns the length of n bytes in nix32.
func TextLen(n int) int { return (n*8 + 4) / 5 }

// Append appends the nix32 of src to dst.
func Append(dst, src []byte) []byte {
	n := TextLen(len(src))
	dst = slices.Grow(dst, n)
	dst = dst[:len(dst)+n]
	out := dst[len(dst)-n:]

	if len(src) == 32 {
		Encode32((*[52]byte)(out), (*[32]byte)(src))
		return dst
	}
	// Five bytes become eight digits. The first bytes become the last digits.
	for len(src) >= 5 {
		bits := uint64(binary.LittleEndian.Uint32(src)) | uint64(src[4])<<32
		putDigits(out[len(out)-8:], bits)
		out, src = out[:len(out)-8], src[5:]
	}
	if len(src) > 0 {
		var bits uint64
		for i, b := range src {
			bits |= uint64(b) << (8 * i)
		}
		var digits [8]byte
		putDigits(digits[:], bits)
		copy(out, digits[8-len(out):])
	}
	return dst
}

// Encode32 fills out with the nix32 of 32 bytes, read as four words.
func Encode32(out *[52]byte, src *[32]byte) {
	a, b, c, d := binary.LittleEndian.Uint64(src[0:]), binary.LittleEndian.Uint64(src[8:]), binary.LittleEndian.Uint64(src[16:]), binary.LittleEndian.Uint64(src[24:])
	putDigits(out[44:], a)
	putDigits(out[36:], a>>40|b<<24)
	putDigits(out[28:], b>>16)
	putDigits(out[20:], b>>56|c<<8)
	putDigits(out[12:], c>>32|d<<32)
	putDigits(out[4:], d>>8)
	binary.LittleEndian.PutUint16(out[2:], pairs[d>>48&1023])
	binary.LittleEndian.PutUint16(out[0:], pairs[d>>58])
}

// putDigits puts the eight digits of the lower 40 bits into out.
func putDigits(out []byte, bits uint64) {
	_ = out[7]
	binary.LittleEndian.PutUint16(out[0:], pairs[bits>>30&1023])
	binary.LittleEndian.PutUint16(out[2:], pairs[bits>>20&1023])
	binary.LittleEndian.PutUint16(out[4:], pairs[bits>>10&1023])
	binary.LittleEndian.PutUint16(out[6:], pairs[bits&1023])
}

// AppendDecode appends the bytes of which s is the nix32 to dst. It fails, and
// returns dst unchanged, for characters outside of the alphabet, for lengths that
// Append never makes, and if bits beyond the last byte are set.
func AppendDecode(dst []byte, s string) ([]byte, error) {
	n := len(s) * 5 / 8
	if TextLen(n) != len(s) {
		return dst, fmt.Errorf("%d characters are not the length of any nix32 text", len(s))
	}
	start := len(dst)
	rest := s
	for len(rest) >= 8 {
		group := rest[len(rest)-8:]
		v0, v1, v2, v3 := values[group[0]], values[group[1]], values[group[2]], values[group[3]]
		v4, v5, v6, v7 := values[group[4]], values[group[5]], values[group[6]], values[group[7]]
		if v0|v1|v2|v3|v4|v5|v6|v7 == invalidDigit {
			return dst[:start], digitError(s)
		}
		bits := uint64(v0)<<35 | uint64(v1)<<30 | uint64(v2)<<25 | uint64(v3)<<20 |
			uint64(v4)<<15 | uint64(v5)<<10 | uint64(v6)<<5 | uint64(v7)
		dst = append(dst, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24), byte(bits>>32))
		rest = rest[:len(rest)-8]
	}
	var bits uint64
	for _, c := range []byte(rest) {
		v := values[c]
		if v == invalidDigit {
			return dst[:start], digitError(s)
		}
		bits = bits<<5 | uint64(v)
	}
	for len(dst)-start < n {
		dst = append(dst, byte(bits))
		bits >>= 8
	}
	if bits != 0 {
		return dst[:start], errors.New("nix32 text has bits set beyond its last byte")
	}
	return dst, nil
}

// digitError names the first character of s outside of the alphabet.
func digitError(s string) error {
	i := digitSet.Outside(s)
	return fmt.Errorf("%q at offset %d is not a nix32 character (0-9 a-z without e, o, t, u)", s[i], i)
}
