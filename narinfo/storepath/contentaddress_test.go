package storepath_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// TestFromContentAddressIsNix computes every content-addressed path that Nix
// 2.8 made for the corpus: path, content address and references on each line.
func TestFromContentAddressIsNix(t *testing.T) {
	data, err := os.ReadFile("testdata/content-addressed.txt")
	require.NoError(t, err)
	kinds := map[string]int{}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		t.Run(fields[0], func(t *testing.T) {
			want, err := storepath.Default.Parse(fields[0])
			require.NoError(t, err)
			ca, err := storepath.ParseContentAddress(fields[1])
			require.NoError(t, err)
			assert.Equal(t, fields[1], ca.String())
			var refs storepath.References
			for _, full := range fields[2:] {
				ref, err := storepath.Default.Parse(full)
				require.NoError(t, err)
				if ref == want {
					refs.Self = true
					kinds["self"]++
				} else {
					refs.Others = append(refs.Others, ref)
					kinds["others"]++
				}
			}
			got, err := storepath.Default.FromContentAddress(want.Name(), ca, refs)
			require.NoError(t, err)
			assert.Equal(t, want, got)
			kinds[ca.Method.String()+" "+ca.Hash.Algorithm().String()]++
		})
	}
	for _, kind := range []string{
		"text sha256", "flat md5", "flat sha1", "flat sha256", "flat sha512", "nar sha1", "nar sha256", "self", "others",
	} {
		assert.NotZero(t, kinds[kind], kind)
	}
}

// TestFromContentAddressInOtherDir expects the output of "nix-store
// --print-fixed-path" for the hashes of the bytes "nixs3" with NIX_STORE_DIR set.
func TestFromContentAddressInOtherDir(t *testing.T) {
	const dir storepath.Dir = "/custom/nix/store"
	const name = "some-name_1.0+x?y=z"
	for _, test := range []struct {
		algorithm nixhash.Algorithm
		method    storepath.Method
		want      string
	}{
		{nixhash.MD5, storepath.MethodFlat, "rjw65dmlkzfpvfjq8rvpcmfm53mvj33l"},
		{nixhash.MD5, storepath.MethodNAR, "80nf41zkicr6ywz9p5fsfd7vkv0k13yf"},
		{nixhash.SHA1, storepath.MethodFlat, "i5vpb0k5xyxhj0gfil68ccqlixzc4kbz"},
		{nixhash.SHA1, storepath.MethodNAR, "d6y5nlswh6s97ckzy39ifsy355chidab"},
		{nixhash.SHA256, storepath.MethodFlat, "m0fry870s3dhjycyimym9bq1igpxpd6q"},
		{nixhash.SHA256, storepath.MethodNAR, "d8r00xfxxi1m3r454d7jrx8m6qs5r1r8"},
	} {
		t.Run(test.method.String()+" "+test.algorithm.String(), func(t *testing.T) {
			ca := storepath.ContentAddress{Method: test.method, Hash: nixhash.Sum(test.algorithm, []byte("nixs3"))}
			got, err := dir.FromContentAddress(name, ca, storepath.References{})
			require.NoError(t, err)
			assert.Equal(t, test.want+"-"+name, got.String())
		})
	}
}

// TestFromContentAddressNewerMethods follows the chapter "Complete Store Path
// Calculation" step by step for methods that Nix 2.8 does not have.
func TestFromContentAddressNewerMethods(t *testing.T) {
	for _, test := range []struct {
		algorithm nixhash.Algorithm
		method    storepath.Method
		inner     string
	}{
		{nixhash.SHA1, storepath.MethodGit, "fixed:out:git:sha1:"},
		{nixhash.SHA256, storepath.MethodGit, "fixed:out:git:sha256:"},
		{nixhash.BLAKE3, storepath.MethodFlat, "fixed:out:blake3:"},
		{nixhash.BLAKE3, storepath.MethodNAR, "fixed:out:r:blake3:"},
	} {
		t.Run(test.method.String()+" "+test.algorithm.String(), func(t *testing.T) {
			hash := nixhash.Sum(test.algorithm, []byte("nixs3"))
			inner := sha256.Sum256([]byte(test.inner + hash.Base16() + ":"))
			outer := sha256.Sum256([]byte("output:out:sha256:" + hex.EncodeToString(inner[:]) + ":/nix/store:hello"))
			for i := 20; i < len(outer); i++ {
				outer[i-20] ^= outer[i]
			}
			want := nixhash.EncodeNix32(outer[:20]) + "-hello"

			got, err := storepath.Default.FromContentAddress("hello", storepath.ContentAddress{Method: test.method, Hash: hash}, storepath.References{})
			require.NoError(t, err)
			assert.Equal(t, want, got.String())
		})
	}
}

func TestReferencesAreASet(t *testing.T) {
	a, b := mustParse(t, hashPart+"-a"), mustParse(t, hashPart+"-b")
	ca := storepath.ContentAddress{Method: storepath.MethodText, Hash: nixhash.Sum(nixhash.SHA256, nil)}
	want, err := storepath.Default.FromContentAddress("x", ca, storepath.References{Others: []storepath.Path{a, b}})
	require.NoError(t, err)
	given := []storepath.Path{b, a, b}
	got, err := storepath.Default.FromContentAddress("x", ca, storepath.References{Others: given})
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, []storepath.Path{b, a, b}, given, "not sorted in place")
}

func TestFromContentAddressRefuses(t *testing.T) {
	sum := func(a nixhash.Algorithm) nixhash.Hash { return nixhash.Sum(a, nil) }
	other := storepath.References{Others: []storepath.Path{mustParse(t, hashPart+"-a")}}
	self := storepath.References{Self: true}
	for _, test := range []struct {
		name    string
		dir     storepath.Dir
		object  string
		ca      storepath.ContentAddress
		refs    storepath.References
		message string
	}{
		{"text that refers to itself", "/nix/store", "x", storepath.ContentAddress{Method: storepath.MethodText, Hash: sum(nixhash.SHA256)}, self, "cannot refer to itself"},
		{"text in sha1", "/nix/store", "x", storepath.ContentAddress{Method: storepath.MethodText, Hash: sum(nixhash.SHA1)}, storepath.References{}, "expected sha256"},
		{"git in md5", "/nix/store", "x", storepath.ContentAddress{Method: storepath.MethodGit, Hash: sum(nixhash.MD5)}, storepath.References{}, "expected sha1 or sha256"},
		{"flat with references", "/nix/store", "x", storepath.ContentAddress{Method: storepath.MethodFlat, Hash: sum(nixhash.SHA256)}, other, "allows no references"},
		{"nar in sha1 with itself", "/nix/store", "x", storepath.ContentAddress{Method: storepath.MethodNAR, Hash: sum(nixhash.SHA1)}, self, "allows no references"},
		{"reference that is not a path", "/nix/store", "x", storepath.ContentAddress{Method: storepath.MethodText, Hash: sum(nixhash.SHA256)}, storepath.References{Others: make([]storepath.Path, 1)}, "a reference is the zero path"},
		{"no method", "/nix/store", "x", storepath.ContentAddress{Hash: sum(nixhash.SHA256)}, storepath.References{}, "unknown content address method 0"},
		{"no hash", "/nix/store", "x", storepath.ContentAddress{Method: storepath.MethodNAR}, storepath.References{}, "has no hash"},
		{"bad name", "/nix/store", "a b", storepath.ContentAddress{Method: storepath.MethodNAR, Hash: sum(nixhash.SHA256)}, storepath.References{}, "' ' at offset 1"},
		{"bad directory", "store", "x", storepath.ContentAddress{Method: storepath.MethodNAR, Hash: sum(nixhash.SHA256)}, storepath.References{}, "not absolute"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := test.dir.FromContentAddress(test.object, test.ca, test.refs)
			require.ErrorContains(t, err, test.message)
			assert.Zero(t, p)
		})
	}
}

const sha256Nix32 = "0bbzj8my3rlqwdaf82c4kgdslrl27n9cikcizh7iiblvfww681kg"

func TestParseContentAddress(t *testing.T) {
	for text, want := range map[string]storepath.Method{
		"text:sha256:" + sha256Nix32:      storepath.MethodText,
		"fixed:sha256:" + sha256Nix32:     storepath.MethodFlat,
		"fixed:r:sha256:" + sha256Nix32:   storepath.MethodNAR,
		"fixed:git:sha256:" + sha256Nix32: storepath.MethodGit,
	} {
		ca, err := storepath.ParseContentAddress(text)
		require.NoError(t, err)
		assert.Equal(t, want, ca.Method)
		assert.Equal(t, text, ca.String())
		method, err := storepath.ParseMethod(want.String())
		require.NoError(t, err)
		assert.Equal(t, want, method)
	}
	// Nix reads any encoding, and writes nix32.
	ca, err := storepath.ParseContentAddress("fixed:r:sha256:6f066438779bae180ffc91cdc8923d8266aadb9b8409e454e398e6e12b927f2d")
	require.NoError(t, err)
	assert.Equal(t, "fixed:r:sha256:"+sha256Nix32, ca.String())
}

func TestParseContentAddressRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, message string }{
		{"empty", "", "expected text:"},
		{"no method", "bogus", "expected text:"},
		{"hash alone", "sha256:" + sha256Nix32, "expected text:"},
		{"no digest", "fixed:sha256", "<algorithm>:<digest>"},
		{"recursive text", "text:r:sha256:" + sha256Nix32, `unknown hash algorithm "r"`},
		{"unknown algorithm", "fixed:r:sha3:" + sha256Nix32, `unknown hash algorithm "sha3"`},
		{"text in sha1", "text:sha1:5fqg04syq9nml5qxcmndc47dffw3k0j0", "expected sha256"},
		{"git in md5", "fixed:git:md5:0viwr3vns5npg3yp5smlfx4dbp", "expected sha1 or sha256"},
		{"SRI", "fixed:r:sha256-bwZkOHebrhgP/JHNyJI9gmaq25uECeRU45jm4SuSfy0=", "<algorithm>:<digest>"},
		{"short digest", "fixed:sha256:0", "digest has 1 characters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ca, err := storepath.ParseContentAddress(test.text)
			require.ErrorContains(t, err, test.message)
			assert.True(t, ca.IsZero())
		})
	}
	_, err := storepath.ParseMethod("recursive")
	require.EqualError(t, err, `unknown content address method "recursive", expected text, flat, nar or git`)
	_, err = storepath.ParseMethod("")
	require.Error(t, err)
	assert.Equal(t, "Method(9)", storepath.Method(9).String())
}

func TestContentAddressJSON(t *testing.T) {
	type object struct{ CA, None storepath.ContentAddress }
	ca, err := storepath.ParseContentAddress("text:sha256:" + sha256Nix32)
	require.NoError(t, err)
	text, err := json.Marshal(object{CA: ca})
	require.NoError(t, err)
	assert.JSONEq(t, `{"CA":"text:sha256:`+sha256Nix32+`","None":""}`, string(text))
	var out object
	require.NoError(t, json.Unmarshal(text, &out))
	assert.Equal(t, object{CA: ca}, out)
	require.Error(t, json.Unmarshal([]byte(`{"CA":"text"}`), &out))
	assert.Equal(t, ca, out.CA, "unchanged by the failure")

	for name, half := range map[string]storepath.ContentAddress{
		"no hash":        {Method: storepath.MethodText},
		"no method":      {Hash: ca.Hash},
		"unknown method": {Method: 99, Hash: ca.Hash},
		"text in md5":    {Method: storepath.MethodText, Hash: nixhash.Sum(nixhash.MD5, nil)},
	} {
		_, err := json.Marshal(half)
		require.Error(t, err, name)
		dst, err := half.AppendText([]byte("before"))
		require.Error(t, err, name)
		assert.Equal(t, "before", string(dst))
	}
}

func FuzzParseContentAddress(f *testing.F) {
	data, err := os.ReadFile("testdata/content-addressed.txt")
	require.NoError(f, err)
	var seeds []string
	for line := range strings.Lines(string(data)) {
		seeds = append(seeds, strings.Fields(line)[1])
	}
	slices.SortFunc(seeds, func(a, b string) int { return len(a) - len(b) })
	for _, seed := range []string{seeds[0], seeds[len(seeds)/2], seeds[len(seeds)-1], "fixed:git:sha1:5fqg04syq9nml5qxcmndc47dffw3k0j0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ca, err := storepath.ParseContentAddress(text)
		if err != nil {
			require.True(t, ca.IsZero())
			return
		}
		again, err := storepath.ParseContentAddress(ca.String())
		require.NoError(t, err)
		require.Equal(t, ca, again)
		_, err = storepath.Default.FromContentAddress("x", ca, storepath.References{})
		require.NoError(t, err)
	})
}
