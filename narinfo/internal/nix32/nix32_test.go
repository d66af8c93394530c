package nix32_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/internal/nix32"
)

// slowNix32 is the definition, bit by bit: character n from the right holds
// the five bits that begin at bit n×5.
func slowNix32(src []byte) string {
	const alphabet = "0123456789abcdfghijklmnpqrsvwxyz"
	out := make([]byte, (len(src)*8+4)/5)
	for n := range out {
		digit := 0
		for k := range 5 {
			if bit := n*5 + k; bit/8 < len(src) && src[bit/8]>>(bit%8)&1 == 1 {
				digit |= 1 << k
			}
		}
		out[len(out)-1-n] = alphabet[digit]
	}
	return string(out)
}

func encode(src []byte) string { return string(nix32.Append(nil, src)) }

func TestNix32IsItsDefinition(t *testing.T) {
	for size := range 100 {
		digest := sha256.Sum256([]byte{byte(size)})
		src := bytes.Repeat(digest[:], 4)[:size]
		text := encode(src)
		require.Equal(t, slowNix32(src), text)
		back, err := nix32.AppendDecode(nil, text)
		require.NoError(t, err)
		require.Equal(t, string(src), string(back))
	}
}

func TestDecodeNix32Refuses(t *testing.T) {
	for _, test := range []struct{ name, text, message string }{
		{"length of one", "0", "1 characters are not the length"},
		{"length of three", "001", "3 characters are not the length"},
		{"length of six", "000000", "6 characters are not the length"},
		{"length of eleven", "00000000000", "11 characters are not the length"},
		{"high bits of one byte", "z0", "beyond its last byte"},
		{"letter e", "0e", `'e' at offset 1`},
		{"letter in a group of eight", "0000o000", `'o' at offset 4`},
		{"capital", "A0", `'A' at offset 0`},
		{"byte that is not ASCII", "\xff0", `at offset 0`},
		{"NUL", "\x000000000", `at offset 0`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dst, err := nix32.AppendDecode([]byte("before"), test.text)
			require.ErrorContains(t, err, test.message)
			assert.Equal(t, "before", string(dst))
		})
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	dst := nix32.Append([]byte("a:"), []byte{0xff})
	assert.Equal(t, "a:7z", string(dst))
	decoded, err := nix32.AppendDecode([]byte{1}, "7z")
	require.NoError(t, err)
	assert.Equal(t, []byte{1, 0xff}, decoded)
}

func TestValid(t *testing.T) {
	assert.True(t, nix32.Valid(""))
	assert.True(t, nix32.Valid("0123456789abcdfghijklmnpqrsvwxyz"))
	for _, c := range "eotuAZ-/ \x00é" {
		assert.False(t, nix32.Valid("a"+string(c)), "%q", c)
	}
}

func FuzzNix32(f *testing.F) {
	f.Add("")
	f.Add("001")
	f.Add("0bbzj8my3rlqwdaf82c4kgdslrl27n9cikcizh7iiblvfww681kg")
	f.Add("00000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, text string) {
		require.Equal(t, slowNix32([]byte(text)), encode([]byte(text)))
		if decoded, err := nix32.AppendDecode(nil, text); err == nil {
			require.Equal(t, text, encode(decoded))
		}
	})
}

func BenchmarkEncodeNix32(b *testing.B) {
	digest := sha256.Sum256(nil)
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	b.SetBytes(sha256.Size)
	for b.Loop() {
		nix32.Append(buf, digest[:])
	}
}

func BenchmarkDecodeNix32(b *testing.B) {
	digest := sha256.Sum256(nil)
	text := encode(digest[:])
	buf := make([]byte, 0, 32)
	b.ReportAllocs()
	b.SetBytes(sha256.Size)
	for b.Loop() {
		nix32.AppendDecode(buf, text)
	}
}
