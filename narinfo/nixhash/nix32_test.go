package nixhash_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/nixhash"
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

func TestNix32IsItsDefinition(t *testing.T) {
	for size := range 100 {
		digest := sha256.Sum256([]byte{byte(size)})
		src := bytes.Repeat(digest[:], 4)[:size]
		text := nixhash.EncodeNix32(src)
		require.Equal(t, slowNix32(src), text)
		back, err := nixhash.DecodeNix32(text)
		require.NoError(t, err)
		require.Equal(t, src, back)
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
			_, err := nixhash.DecodeNix32(test.text)
			require.ErrorContains(t, err, test.message)

			dst, err := nixhash.AppendDecodeNix32([]byte("before"), test.text)
			require.Error(t, err)
			assert.Equal(t, "before", string(dst))
		})
	}
}

func TestAppendNix32KeepsWhatIsThere(t *testing.T) {
	dst := nixhash.AppendNix32([]byte("a:"), []byte{0xff})
	assert.Equal(t, "a:7z", string(dst))
	decoded, err := nixhash.AppendDecodeNix32([]byte{1}, "7z")
	require.NoError(t, err)
	assert.Equal(t, []byte{1, 0xff}, decoded)
}

func TestIsNix32(t *testing.T) {
	assert.True(t, nixhash.IsNix32(""))
	assert.True(t, nixhash.IsNix32("0123456789abcdfghijklmnpqrsvwxyz"))
	for _, c := range "eotuAZ-/ \x00é" {
		assert.False(t, nixhash.IsNix32("a"+string(c)), "%q", c)
	}
}

func TestCompressDigest(t *testing.T) {
	assert.Equal(t, []byte{1 ^ 4, 2 ^ 5, 3}, nixhash.CompressDigest([]byte{1, 2, 3, 4, 5}, 3))
	assert.Equal(t, []byte{1, 2, 0}, nixhash.CompressDigest([]byte{1, 2}, 3))
}

func TestAppendFormsDoNotAllocate(t *testing.T) {
	h := nixhash.Sum(nixhash.SHA256, nil)
	digest, text := h.Digest(), h.Nix32()
	buf := make([]byte, 0, 256)
	for name, form := range map[string]func(){
		"AppendNix32":       func() { nixhash.AppendNix32(buf, digest) },
		"AppendDecodeNix32": func() { nixhash.AppendDecodeNix32(buf, text) },
		"AppendString":      func() { h.AppendString(buf) },
		"AppendSRI":         func() { h.AppendSRI(buf) },
		"AppendBase16":      func() { h.AppendBase16(buf) },
		"AppendBase64":      func() { h.AppendBase64(buf) },
		"Parse":             func() { nixhash.Parse("sha256:0bbzj8my3rlqwdaf82c4kgdslrl27n9cikcizh7iiblvfww681kg") },
		"Parse SRI":         func() { nixhash.Parse("sha256-bwZkOHebrhgP/JHNyJI9gmaq25uECeRU45jm4SuSfy0=") },
	} {
		assert.Zero(t, testing.AllocsPerRun(100, form), name)
	}
}

func FuzzNix32(f *testing.F) {
	f.Add("")
	f.Add("001")
	f.Add("0bbzj8my3rlqwdaf82c4kgdslrl27n9cikcizh7iiblvfww681kg")
	f.Add("00000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, text string) {
		require.Equal(t, slowNix32([]byte(text)), nixhash.EncodeNix32([]byte(text)))
		if decoded, err := nixhash.DecodeNix32(text); err == nil {
			require.Equal(t, text, nixhash.EncodeNix32(decoded))
		}
	})
}

func BenchmarkEncodeNix32(b *testing.B) {
	digest := sha256.Sum256(nil)
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	b.SetBytes(sha256.Size)
	for b.Loop() {
		nixhash.AppendNix32(buf, digest[:])
	}
}

func BenchmarkDecodeNix32(b *testing.B) {
	digest := sha256.Sum256(nil)
	text := nixhash.EncodeNix32(digest[:])
	buf := make([]byte, 0, 32)
	b.ReportAllocs()
	b.SetBytes(sha256.Size)
	for b.Loop() {
		nixhash.AppendDecodeNix32(buf, text)
	}
}
