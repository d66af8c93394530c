package nixhash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"example.com/nixs3/narinfo/internal/charset"
)

const nix32Alphabet = "0123456789abcdfghijklmnpqrsvwxyz"

const invalidDigit = 0xff

// nix32Values maps a character to its five bits, or to invalidDigit.
var nix32Values = func() (table [256]byte) {
	for i := range table {
		table[i] = invalidDigit
	}
	for i, c := range []byte(nix32Alphabet) {
		table[c] = byte(i)
	}
	return table
}()

// nix32Pairs maps ten bits to their two digits, the first in the low byte.
var nix32Pairs = func() (table [1024]uint16) {
	for i := range table {
		table[i] = uint16(nix32Alphabet[i>>5]) | uint16(nix32Alphabet[i&31])<<8
	}
	return table
}()

var nix32Digits = charset.Of(nix32Alphabet)

// IsNix32 reports whether every character of s is in nix32's alphabet.
func IsNix32(s string) bool { return nix32Digits.Outside(s) < 0 }

// nix32Len returns the length of n bytes in nix32.
func nix32Len(n int) int { return (n*8 + 4) / 5 }

// EncodeNix32 returns src in nix32: base 32 with the digits
// 0123456789abcdfghijklmnpqrsvwxyz, of the bytes read as one little-endian
// number, the most significant digit first, without padding. 32 bytes become
// 52 characters.
func EncodeNix32(src []byte) string {
	var buf [(maxSize*8 + 4) / 5]byte
	return string(AppendNix32(buf[:0], src))
}

// AppendNix32 appends what [EncodeNix32] returns to dst.
func AppendNix32(dst, src []byte) []byte {
	n := nix32Len(len(src))
	dst = slices.Grow(dst, n)
	dst = dst[:len(dst)+n]
	out := dst[len(dst)-n:]

	if len(src) == 32 {
		encodeNix32Of32((*[52]byte)(out), (*[32]byte)(src))
		return dst
	}
	// Five bytes become eight digits. The first bytes become the last digits.
	for len(src) >= 5 {
		bits := uint64(binary.LittleEndian.Uint32(src)) | uint64(src[4])<<32
		putNix32(out[len(out)-8:], bits)
		out, src = out[:len(out)-8], src[5:]
	}
	if len(src) > 0 {
		var bits uint64
		for i, b := range src {
			bits |= uint64(b) << (8 * i)
		}
		var digits [8]byte
		putNix32(digits[:], bits)
		copy(out, digits[8-len(out):])
	}
	return dst
}

// encodeNix32Of32 fills out with the nix32 of 32 bytes, read as four words.
func encodeNix32Of32(out *[52]byte, src *[32]byte) {
	a, b, c, d := binary.LittleEndian.Uint64(src[0:]), binary.LittleEndian.Uint64(src[8:]), binary.LittleEndian.Uint64(src[16:]), binary.LittleEndian.Uint64(src[24:])
	putNix32(out[44:], a)
	putNix32(out[36:], a>>40|b<<24)
	putNix32(out[28:], b>>16)
	putNix32(out[20:], b>>56|c<<8)
	putNix32(out[12:], c>>32|d<<32)
	putNix32(out[4:], d>>8)
	binary.LittleEndian.PutUint16(out[2:], nix32Pairs[d>>48&1023])
	binary.LittleEndian.PutUint16(out[0:], nix32Pairs[d>>58])
}

// putNix32 puts the eight digits of the lower 40 bits into out.
func putNix32(out []byte, bits uint64) {
	_ = out[7]
	binary.LittleEndian.PutUint16(out[0:], nix32Pairs[bits>>30&1023])
	binary.LittleEndian.PutUint16(out[2:], nix32Pairs[bits>>20&1023])
	binary.LittleEndian.PutUint16(out[4:], nix32Pairs[bits>>10&1023])
	binary.LittleEndian.PutUint16(out[6:], nix32Pairs[bits&1023])
}

// DecodeNix32 returns the bytes that [EncodeNix32] encodes as s. It fails for
// characters outside of the alphabet, for lengths that EncodeNix32 never returns,
// and if bits beyond the last byte are set.
func DecodeNix32(s string) ([]byte, error) {
	dst := make([]byte, 0, len(s)*5/8)
	dst, err := AppendDecodeNix32(dst, s)
	if err != nil {
		return nil, err
	}
	return dst, nil
}

// AppendDecodeNix32 appends what [DecodeNix32] returns to dst. On an error it
// returns dst unchanged.
func AppendDecodeNix32(dst []byte, s string) ([]byte, error) {
	n := len(s) * 5 / 8
	if nix32Len(n) != len(s) {
		return dst, fmt.Errorf("%d characters are not the length of any nix32 text", len(s))
	}
	start := len(dst)
	rest := s
	for len(rest) >= 8 {
		group := rest[len(rest)-8:]
		v0, v1, v2, v3 := nix32Values[group[0]], nix32Values[group[1]], nix32Values[group[2]], nix32Values[group[3]]
		v4, v5, v6, v7 := nix32Values[group[4]], nix32Values[group[5]], nix32Values[group[6]], nix32Values[group[7]]
		if v0|v1|v2|v3|v4|v5|v6|v7 == invalidDigit {
			return dst[:start], nix32DigitError(s)
		}
		bits := uint64(v0)<<35 | uint64(v1)<<30 | uint64(v2)<<25 | uint64(v3)<<20 |
			uint64(v4)<<15 | uint64(v5)<<10 | uint64(v6)<<5 | uint64(v7)
		dst = append(dst, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24), byte(bits>>32))
		rest = rest[:len(rest)-8]
	}
	var bits uint64
	for _, c := range []byte(rest) {
		v := nix32Values[c]
		if v == invalidDigit {
			return dst[:start], nix32DigitError(s)
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

// nix32DigitError names the first character of s outside of the alphabet.
func nix32DigitError(s string) error {
	i := nix32Digits.Outside(s)
	return fmt.Errorf("%q at offset %d is not a nix32 character (0-9 a-z without e, o, t, u)", s[i], i)
}

// CompressDigest folds a digest to size bytes: byte i of the digest is XORed
// into byte i mod size. Nix shortens digests this way for the hash parts of store
// paths. It panics unless size is positive.
func CompressDigest(digest []byte, size int) []byte {
	folded := make([]byte, size)
	for i, b := range digest {
		folded[i%size] ^= b
	}
	return folded
}
