package nixhash_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/nixhash"
)

// vectors are the texts that "nix hash file" prints for the bytes "nixs3";
// Nix 2.8 has no blake3; there it only converted the base16 of the reference code.
var vectors = []struct {
	algorithm             nixhash.Algorithm
	base16, nix32, base64 string
}{
	{
		nixhash.MD5,
		"7735d21dadba5c3fdeb545db3d328f1b",
		"0viwr3vns5npg3yp5smlfx4dbp",
		"dzXSHa26XD/etUXbPTKPGw==",
	},
	{
		nixhash.SHA1,
		"408239b873ed10d66c651d175a6dc25e13f0b02b",
		"5fqg04syq9nml5qxcmndc47dffw3k0j0",
		"QII5uHPtENZsZR0XWm3CXhPwsCs=",
	},
	{
		nixhash.SHA256,
		"6f066438779bae180ffc91cdc8923d8266aadb9b8409e454e398e6e12b927f2d",
		"0bbzj8my3rlqwdaf82c4kgdslrl27n9cikcizh7iiblvfww681kg",
		"bwZkOHebrhgP/JHNyJI9gmaq25uECeRU45jm4SuSfy0=",
	},
	{
		nixhash.SHA512,
		"ab8be991f924d3a07e5a855e6cfaae81c8d738ec8e7c2da7d7eb13c5560e1f836d5d356c95e437f7c996f44293d1cfe48c876b44aebe57ab23afebb8e4367ff3",
		"3rpydp4p3msy8xbayzawi3bhy6f9kyijd1g95n9ywvy95bc6mfnv0qz1rbca4zbsykjsz4fxhwdgj41mvx6qpl5b9za1lr4z68yk2xb",
		"q4vpkfkk06B+WoVebPqugcjXOOyOfC2n1+sTxVYOH4NtXTVsleQ398mW9EKT0c/kjIdrRK6+V6sjr+u45DZ/8w==",
	},
	{
		nixhash.BLAKE3,
		"71de7e2ebae18a50bdf07c8aee716327235940d41c9b3a53f416d4bf30f92850",
		"0l18z4qbzm0nyi9km6qwsi05j8r7cdqyx2kwy2ym12p1p8p7xpki",
		"cd5+LrrhilC98HyK7nFjJyNZQNQcmzpT9BbUvzD5KFA=",
	},
}

func TestForms(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.algorithm.String(), func(t *testing.T) {
			h := nixhash.Sum(v.algorithm, []byte("nixs3"))
			assert.Equal(t, v.algorithm, h.Algorithm())
			assert.Equal(t, v.base16, h.Base16())
			assert.Equal(t, v.nix32, h.Nix32())
			assert.Equal(t, v.base64, h.Base64())
			assert.Equal(t, v.algorithm.String()+":"+v.nix32, h.String())
			assert.Equal(t, v.algorithm.String()+"-"+v.base64, h.SRI())
			assert.Equal(t, v.base16, fmt.Sprintf("%x", h.Digest()))

			for _, text := range []string{
				v.algorithm.String() + ":" + v.base16,
				v.algorithm.String() + ":" + v.nix32,
				v.algorithm.String() + ":" + v.base64,
				v.algorithm.String() + "-" + v.base64,
				v.algorithm.String() + "-" + strings.TrimRight(v.base64, "="),
				v.algorithm.String() + ":" + strings.ToUpper(v.base16),
			} {
				parsed, err := nixhash.Parse(text)
				require.NoError(t, err, text)
				assert.True(t, parsed == h, "%s reads as %v", text, parsed)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	nix32 := vectors[2].nix32
	for _, test := range []struct{ name, text, message string }{
		{"empty", "", "no algorithm"},
		{"no algorithm", nix32, "no algorithm"},
		{"unknown algorithm", "sha3:" + nix32, `unknown hash algorithm "sha3"`},
		{"algorithm in capitals", "SHA256:" + nix32, "unknown hash algorithm"},
		{"no digest", "sha256:", "digest has 0 characters, sha256 has 64 in base16, 52 in nix32, 44 in base64"},
		{"one character short", "sha256:" + nix32[1:], "digest has 51 characters"},
		{"digest of another algorithm", "sha1:" + nix32, "digest has 52 characters, sha1 has 40"},
		{"nix32 with e", "sha256:" + "e" + nix32[1:], "'e' at offset 0"},
		{"nix32 with bits beyond the end", "sha256:" + "z" + nix32[1:], "bits set beyond"},
		{"base16 with g", "sha256:" + strings.Repeat("g", 64), "base16"},
		{"base64 in an alphabet for URLs", "sha256-" + strings.ReplaceAll(vectors[2].base64, "/", "_"), "base64"},
		{"base64 without padding after a colon", "sha256:" + strings.TrimRight(vectors[2].base64, "="), "43 characters"},
		{"base64 of one byte more", "sha256-" + strings.Repeat("A", 44), "base64 digest has 44 characters, sha256 has 43"},
		{"base64 with a line end", "sha256-" + strings.Repeat("A", 42) + "\r=", "digest has 31 bytes"},
		{"SRI with nix32", "sha256-" + nix32, "base64 digest has 52 characters"},
		{"space before", " sha256:" + nix32, "unknown hash algorithm"},
		{"space at the end", "sha256:" + nix32 + " ", "53 characters"},
		{"very long", strings.Repeat("x", 1<<20) + ":", "…"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, err := nixhash.Parse(test.text)
			require.ErrorContains(t, err, test.message)
			assert.Zero(t, h)
			assert.Less(t, len(err.Error()), 500)
		})
	}
}

func TestFromDigest(t *testing.T) {
	h, err := nixhash.FromDigest(nixhash.SHA1, make([]byte, 20))
	require.NoError(t, err)
	assert.Equal(t, "sha1:00000000000000000000000000000000", h.String())

	_, err = nixhash.FromDigest(nixhash.SHA1, make([]byte, 32))
	require.EqualError(t, err, "digest has 32 bytes, sha1 has 20")
	_, err = nixhash.FromDigest(0, nil)
	require.EqualError(t, err, "unknown hash algorithm 0")
	_, err = nixhash.ParseDigest(99, "")
	require.EqualError(t, err, "unknown hash algorithm 99")
}

func TestZero(t *testing.T) {
	var h nixhash.Hash
	assert.True(t, h.IsZero())
	assert.False(t, nixhash.Sum(nixhash.SHA256, nil).IsZero())
	assert.Zero(t, h.Algorithm())
	assert.Empty(t, h.String())
	assert.Empty(t, h.SRI())
	assert.Empty(t, h.Nix32())
	assert.Empty(t, h.Digest())
}

func TestDigestIsACopy(t *testing.T) {
	h := nixhash.Sum(nixhash.SHA256, nil)
	clear(h.Digest())
	assert.Equal(t, nixhash.Sum(nixhash.SHA256, nil), h)
}

func TestHashIsAMapKey(t *testing.T) {
	seen := map[nixhash.Hash]string{}
	for _, v := range vectors {
		h, err := nixhash.ParseDigest(v.algorithm, v.base16)
		require.NoError(t, err)
		seen[h] = v.base16
	}
	require.Len(t, seen, len(vectors))
	for _, v := range vectors {
		assert.Equal(t, v.base16, seen[nixhash.Sum(v.algorithm, []byte("nixs3"))])
	}
}

func TestStreaming(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.algorithm.String(), func(t *testing.T) {
			h := nixhash.New(v.algorithm)
			h.Write([]byte("nix"))
			assert.Equal(t, nixhash.Sum(v.algorithm, []byte("nix")), h.Digest(), "in the middle")
			h.Write([]byte("s3"))
			assert.Equal(t, v.nix32, h.Digest().Nix32())
			assert.Equal(t, v.algorithm.Size(), h.Size())
		})
	}
	assert.PanicsWithValue(t, "nixhash: New with Algorithm(0)", func() { nixhash.New(0) })
}

func TestJSON(t *testing.T) {
	type object struct {
		Hash nixhash.Hash
		None nixhash.Hash
		By   map[nixhash.Hash]int
	}
	h := nixhash.Sum(nixhash.SHA256, []byte("nixs3"))
	in := object{Hash: h, By: map[nixhash.Hash]int{h: 1}}
	text, err := json.Marshal(in)
	require.NoError(t, err)
	assert.JSONEq(t, `{"Hash":"`+h.String()+`","None":"","By":{"`+h.String()+`":1}}`, string(text))

	var out object
	require.NoError(t, json.Unmarshal(text, &out))
	assert.Equal(t, in, out)
	require.NoError(t, json.Unmarshal([]byte(`{"Hash":"`+h.SRI()+`"}`), &out))
	assert.Equal(t, h, out.Hash)
	require.Error(t, json.Unmarshal([]byte(`{"Hash":"sha256:no"}`), &out))
	assert.Equal(t, h, out.Hash, "unchanged by the failure")
}

func TestAlgorithmNames(t *testing.T) {
	for a := nixhash.MD5; a <= nixhash.BLAKE3; a++ {
		parsed, err := nixhash.ParseAlgorithm(a.String())
		require.NoError(t, err)
		assert.Equal(t, a, parsed)
		assert.Positive(t, a.Size())
	}
	_, err := nixhash.ParseAlgorithm("")
	require.EqualError(t, err, `unknown hash algorithm "", expected md5, sha1, sha256, sha512 or blake3`)
	assert.Zero(t, nixhash.Algorithm(0).Size())
	assert.Zero(t, (nixhash.BLAKE3 + 1).Size())
	assert.Equal(t, "Algorithm(200)", nixhash.Algorithm(200).String())
	assert.Zero(t, nixhash.Algorithm(200).Size())
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.algorithm.String() + ":" + v.base16)
		f.Add(v.algorithm.String() + ":" + v.nix32)
		f.Add(v.algorithm.String() + "-" + v.base64)
	}
	f.Add("001")
	f.Add("sha256:")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := nixhash.Parse(text)
		if err != nil {
			require.Zero(t, h)
			return
		}
		for _, form := range []string{h.String(), h.SRI(), h.Algorithm().String() + ":" + h.Base16()} {
			again, err := nixhash.Parse(form)
			require.NoError(t, err)
			require.Equal(t, h, again)
		}
	})
}

func TestAppendFormsDoNotAllocate(t *testing.T) {
	h := nixhash.Sum(nixhash.SHA256, nil)
	buf := make([]byte, 0, 256)
	for name, form := range map[string]func(){
		"AppendNix32":  func() { h.AppendNix32(buf) },
		"AppendString": func() { h.AppendString(buf) },
		"AppendSRI":    func() { h.AppendSRI(buf) },
		"AppendBase16": func() { h.AppendBase16(buf) },
		"AppendBase64": func() { h.AppendBase64(buf) },
		"Parse":        func() { nixhash.Parse("sha256:0bbzj8my3rlqwdaf82c4kgdslrl27n9cikcizh7iiblvfww681kg") },
		"Parse SRI":    func() { nixhash.Parse("sha256-bwZkOHebrhgP/JHNyJI9gmaq25uECeRU45jm4SuSfy0=") },
	} {
		assert.Zero(t, testing.AllocsPerRun(100, form), name)
	}
}

func TestNix32(t *testing.T) {
	text := nixhash.EncodeNix32([]byte{0xff})
	assert.Equal(t, "7z", text)
	data, err := nixhash.DecodeNix32(text)
	require.NoError(t, err)
	assert.Equal(t, []byte{0xff}, data)
	_, err = nixhash.DecodeNix32("e0")
	assert.ErrorContains(t, err, "'e' at offset 0")
}
