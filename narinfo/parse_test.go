package narinfo_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// minimal has only the required fields.
const minimal = `StorePath: /nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0
URL: nar/x.nar
NarHash: sha256:1qg2sq2vdipzhwsqljsyk3npvd62jx2bc2627j7nq50xb7lcsas5
NarSize: 1984
`

func TestParse(t *testing.T) {
	n := parse(t, fromCorpus(t, wrapperBase))
	assert.Equal(t, storepath.Default, n.StoreDir)
	assert.Equal(t, wrapperBase, n.Path.String())
	assert.Equal(t, "nar/11ai0b6gqvki57k4gpsgbsx89abfvly57vfmrpmlphx7knmdvhid.nar.xz", n.URL)
	assert.Equal(t, narinfo.CompressionXz, n.Compression)
	assert.Equal(t, "sha256:11ai0b6gqvki57k4gpsgbsx89abfvly57vfmrpmlphx7knmdvhid", n.FileHash.String())
	assert.EqualValues(t, 348, n.FileSize)
	assert.Equal(t, "sha256:0zqgzrh33asafmjnviil3n40n689hd895bn91vyqy3z9m03yp090", n.NarHash.String())
	assert.EqualValues(t, 1056, n.NarSize)
	assert.Equal(t, []storepath.Path{storePath(t, wrapperBase), storePath(t, helloBase)}, n.References)
	assert.Equal(t, "dwrnx9k4q86d1l8c9pw7mv6rwc35l16g-wrapper-1.0.drv", n.Deriver.String())
	require.Len(t, n.Signatures, 1)
	assert.Equal(t, "lab-cache-1", n.Signatures[0].KeyName)
	assert.True(t, n.CA.IsZero())
	assert.Empty(t, n.Extra)
}

func TestParseTakes(t *testing.T) {
	line := func(s string) string { return minimal + s + "\n" }
	base16 := strings.Replace(minimal, "sha256:1qg2sq2vdipzhwsqljsyk3npvd62jx2bc2627j7nq50xb7lcsas5",
		"sha256:452bcde8591d146c8f3cc208b64497c2b47ded985e4b8a3587ffc6b605d6e2e1", 1)
	for _, test := range []struct {
		name, text string
		check      func(t *testing.T, n *narinfo.NarInfo)
	}{
		{"the least there can be", minimal, func(t *testing.T, n *narinfo.NarInfo) {
			assert.Equal(t, narinfo.CompressionBzip2, n.Compression)
			assert.True(t, n.FileHash.IsZero())
			assert.Zero(t, n.FileSize)
			assert.Empty(t, n.References)
			assert.True(t, n.Deriver.IsZero())
		}},
		{"empty Compression", line("Compression: "), func(t *testing.T, n *narinfo.NarInfo) {
			assert.Equal(t, narinfo.CompressionBzip2, n.Compression)
		}},
		{"unknown Compression", line("Compression: bogus"), func(t *testing.T, n *narinfo.NarInfo) {
			assert.EqualValues(t, "bogus", n.Compression)
			assert.False(t, n.Compression.Known())
		}},
		{"unknown deriver", line("Deriver: unknown-deriver"), func(t *testing.T, n *narinfo.NarInfo) {
			assert.True(t, n.Deriver.IsZero())
		}},
		{"Deriver without .drv", line("Deriver: " + wrapperBase), func(t *testing.T, n *narinfo.NarInfo) {
			assert.Equal(t, wrapperBase, n.Deriver.String())
		}},
		{"empty CA", line("CA: "), func(t *testing.T, n *narinfo.NarInfo) { assert.True(t, n.CA.IsZero()) }},
		{"References with spaces more", line("References:  " + wrapperBase + "  " + helloBase + " "), func(t *testing.T, n *narinfo.NarInfo) {
			assert.Equal(t, []storepath.Path{storePath(t, wrapperBase), storePath(t, helloBase)}, n.References)
		}},
		{"References after empty ones", line("References: \nReferences: " + wrapperBase), func(t *testing.T, n *narinfo.NarInfo) {
			assert.Equal(t, []storepath.Path{storePath(t, wrapperBase)}, n.References)
		}},
		{"NarHash in base16", base16, func(t *testing.T, n *narinfo.NarInfo) {
			assert.Equal(t, "sha256:1qg2sq2vdipzhwsqljsyk3npvd62jx2bc2627j7nq50xb7lcsas5", n.NarHash.String())
		}},
		{"URL that is absolute, with a query", strings.Replace(minimal, "nar/x.nar", "https://example.org/x.nar?a=b:c", 1), func(t *testing.T, n *narinfo.NarInfo) {
			assert.Equal(t, "https://example.org/x.nar?a=b:c", n.URL)
		}},
		{"other store directory", strings.Replace(minimal, "/nix/store", "/home/me/store", 1), func(t *testing.T, n *narinfo.NarInfo) {
			assert.EqualValues(t, "/home/me/store", n.StoreDir)
			assert.Equal(t, helloBase, n.Path.String())
		}},
		{"unknown fields", "First: 1\n" + line("System: x86_64-linux\nNoSpace:x\nEmpty: \n: nameless"), func(t *testing.T, n *narinfo.NarInfo) {
			assert.Equal(t, []narinfo.Field{
				{Name: "First", Value: "1", Before: "StorePath"},
				{Name: "System", Value: "x86_64-linux"},
				{Name: "NoSpace", Value: "x"},
				{Name: "Empty"},
				{Value: "nameless"},
			}, n.Extra)
		}},
		{"line that swallows the next", line("Empty:\nDeriver: " + wrapperBase), func(t *testing.T, n *narinfo.NarInfo) {
			assert.Equal(t, []narinfo.Field{{Name: "Empty", Value: "Deriver: " + wrapperBase}}, n.Extra)
			assert.True(t, n.Deriver.IsZero())
		}},
		{"lines that spoil the next", line("\nDeriver: " + wrapperBase + "\nnonsense\nX: y"), func(t *testing.T, n *narinfo.NarInfo) {
			assert.Empty(t, n.Extra)
			assert.True(t, n.Deriver.IsZero())
		}},
		{"Sig lines that are not signatures", line("X: y\nSig: nobody\nSig: \nSig: no body:" + strings.Repeat("A", 86) + "\nSig: key:AAAA\nCA: "), func(t *testing.T, n *narinfo.NarInfo) {
			assert.Empty(t, n.Signatures)
			assert.Equal(t, []narinfo.Field{
				{Name: "X", Value: "y", Before: "Sig"}, {Name: "Sig", Value: "nobody", Before: "Sig"}, {Name: "Sig", Before: "Sig"},
				{Name: "Sig", Value: "no body:" + strings.Repeat("A", 86), Before: "Sig"}, {Name: "Sig", Value: "key:AAAA", Before: "Sig"},
			}, n.Extra)
		}},
		{"greatest sizes", strings.Replace(minimal, "1984", "9223372036854775807", 1), func(t *testing.T, n *narinfo.NarInfo) {
			assert.EqualValues(t, int64(math.MaxInt64), n.NarSize)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := parse(t, test.text)
			test.check(t, n)

			text, err := n.MarshalText()
			require.NoError(t, err)
			assert.True(t, n.Equal(parse(t, string(text))), "%s", text)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(minimal, old, new, 1) }
	sig := "Sig: key:" + strings.Repeat("A", 86) + "==\n"
	for _, test := range []struct{ name, text, message string }{
		{"empty text", "", "narinfo: StorePath: is missing"},
		{"no StorePath", replace("StorePath", "Path"), "narinfo: StorePath: is missing"},
		{"no URL", replace("URL", "Uri"), "narinfo: URL: is missing"},
		{"no NarHash", replace("NarHash", "Hash"), "narinfo: NarHash: is missing"},
		{"no NarSize", replace("NarSize", "Size"), "narinfo: NarSize: is missing"},
		{"cut off", minimal[:len(minimal)-1], "line 4: no line end"},
		{"no colon", minimal + "nonsense\n", `line 5: "nonsense" has no colon`},
		{"CRLF", strings.ReplaceAll(minimal, "\n", "\r\n"), `line 1: StorePath: store path`},
		{"nothing after the colon", minimal + "References:\n", "line 5: References: nothing after the colon"},
		{"no space after the colon", strings.Replace(minimal, "NarSize: ", "NarSize:", 1), "line 4: NarSize: no space after the colon"},
		{"nothing after the colon of a known field", "References:\n" + minimal, "line 1: References: no space after the colon"},
		{"empty line at the end", minimal + "\n", `line 5: "" has no colon`},
		{"empty line before a field", strings.Replace(minimal, "NarHash", "\nNarHash", 1), "narinfo: NarHash: is missing"},
		{"base name as StorePath", replace("/nix/store/", ""), "line 1: StorePath: \"" + helloBase + "\" has no store directory"},
		{"StorePath without a slash after the directory", replace("store/", "storeX"), "line 1: StorePath: store path"},
		{"relative store directory", replace("/nix/store", "nix/store"), "is not absolute"},
		{"path in the root", replace("/nix/store", ""), "store directory is empty"},
		{"bad StorePath", replace("jf2g", "ef2g"), "line 1: StorePath: store path"},
		{"empty URL", replace("nar/x.nar", ""), "URL: is empty"},
		{"NarHash of sha1", replace("sha256:1qg2sq2vdipzhwsqljsyk3npvd62jx2bc2627j7nq50xb7lcsas5", "sha1:5fqg04syq9nml5qxcmndc47dffw3k0j0"), "line 3: NarHash: is of sha1"},
		{"short NarHash", replace("sha256:1", "sha256:"), "line 3: NarHash: hash"},
		{"NarSize of zero", replace("1984", "0"), "NarSize: is zero"},
		{"negative NarSize", replace("1984", "-1"), `"-1" is not a number`},
		{"NarSize beyond 63 bits", replace("1984", "9223372036854775808"), "is not a number of bytes"},
		{"FileSize of words", minimal + "FileSize: many\n", `line 5: FileSize: "many"`},
		{"bad FileHash", minimal + "FileHash: sha256:\n", "line 5: FileHash: hash"},
		{"full path as reference", minimal + "References: /nix/store/" + helloBase + "\n", "line 5: References: store path"},
		{"second References", minimal + "References: " + helloBase + "\nReferences: " + wrapperBase + "\n", "line 6: References: is repeated"},
		{"full path as Deriver", minimal + "Deriver: /nix/store/" + helloBase + ".drv\n", "line 5: Deriver: store path"},
		{"known field with a very long value", minimal + "Deriver: " + strings.Repeat("x", 1<<20) + "\n", "line 5: Deriver: store path"},
		{"bad CA", minimal + "CA: bogus\n", "line 5: CA: content address \"bogus\""},
		{"two CA", minimal + "CA: text:sha256:1injfy5wzfcjmbs3443d6qrjbmcmsif4y1m5qiq94fnn696vnj64\nCA: fixed:md5:0rg7dkqqawb9ijkmmmp3ik06s0\n", "line 6: CA: is repeated"},
		{"more signatures than the bound", minimal + strings.Repeat(sig, 257), "line 261: Sig: more than 256 signatures"},
		{"more unknown fields than the bound", minimal + strings.Repeat("X: y\n", 257), "line 261: X: more than 256 unknown fields"},
		{"unknown field with a very long name beyond the bound", minimal + strings.Repeat("X: y\n", 256) + strings.Repeat("x", 1<<20) + ": y\n", "line 261: xxx"},
		{"more references than the bound", minimal + "References:" + strings.Repeat(" "+helloBase[:34], 100_001) + "\n", "line 5: References: more than 100000 references"},
		{"more bytes than the bound", minimal + "X: " + strings.Repeat("x", 4<<20) + "\n", "at most 4194304 are read"},
		{"a long line of nothing", strings.Repeat("x", 1<<20) + "\n", "line 1:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, err := narinfo.Parse([]byte(test.text))
			require.ErrorContains(t, err, test.message)
			assert.Nil(t, n)
			assert.Less(t, len(err.Error()), 1000)
			var parseError *narinfo.ParseError
			assert.ErrorAs(t, err, &parseError)
			assert.NotNil(t, errors.Unwrap(err))
		})
	}
}

func TestBounds(t *testing.T) {
	refs := func(n int) string { return "References:" + strings.Repeat(" "+strings.Repeat("0", 32)+"-a", n) + "\n" }
	sigs := func(n int) string { return strings.Repeat("Sig: key:"+strings.Repeat("A", 86)+"==\n", n) }
	extra := func(n int) string { return strings.Repeat("X: y\n", n) }
	filled := minimal + "X: " + strings.Repeat("y", 4<<20-len(minimal)-4) + "\n"
	require.Len(t, filled, 4<<20)
	for _, test := range []struct{ name, text, message string }{
		{"all counts just met", minimal + refs(100_000) + sigs(256) + extra(256), ""},
		{"size just met", filled, ""},
		{"size", filled + "\n", "4194305 bytes, at most 4194304"},
		{"references", minimal + refs(100_001), "References: more than 100000 references"},
		{"signatures", minimal + sigs(257), "Sig: more than 256 signatures"},
		{"unknown fields", minimal + extra(257), "X: more than 256 unknown fields"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := narinfo.Parse([]byte(test.text))
			if test.message == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.message)
		})
	}
}

func TestParseKeepsNothingOfItsInput(t *testing.T) {
	text := []byte(minimal)
	n, err := narinfo.Parse(text)
	require.NoError(t, err)
	for i := range text {
		text[i] = 'x'
	}
	assert.True(t, n.Equal(parse(t, minimal)))
}

func TestErrorsAreFitForTerminals(t *testing.T) {
	_, err := narinfo.Parse([]byte(minimal + strings.Repeat("X: y\n", 256) + "\x1b[2J\r: y\n"))
	require.ErrorContains(t, err, `line 261: "\x1b[2J\r": more than 256 unknown fields`)
	_, err = narinfo.ParseCacheInfo([]byte(strings.Repeat("X: y\n", 256) + "\x1b[2J: y\n"))
	require.ErrorContains(t, err, `line 257: "\x1b[2J": more than 256 unknown fields`)
	_, err = narinfo.ParseRecords([]byte(`{"info":{},"version":2,"storeDir":"/` + strings.Repeat("x", 1<<20) + `"}`))
	require.ErrorContains(t, err, "store directory has 1048577 bytes, at most 4096")
}

func TestBoundOfReferencesIgnoresSpaces(t *testing.T) {
	n := parse(t, minimal+"References:  "+helloBase+strings.Repeat(" ", 100_001)+"\n")
	assert.Len(t, n.References, 1)
}

func TestCopiesOfWhatWasParsedDoNotShareRoom(t *testing.T) {
	n := parse(t, fromCorpus(t, wrapperBase))
	require.NotEmpty(t, n.References)
	require.NotEmpty(t, n.Signatures)
	a, b := *n, *n
	a.References = append(a.References, storePath(t, wrapperBase))
	b.References = append(b.References, storePath(t, helloBase))
	a.Signatures = append(a.Signatures, narinfo.Signature{KeyName: "a"})
	b.Signatures = append(b.Signatures, narinfo.Signature{KeyName: "b"})
	assert.Equal(t, storePath(t, wrapperBase), a.References[len(n.References)])
	assert.Equal(t, "a", a.Signatures[len(n.Signatures)].KeyName)
	assert.True(t, n.Equal(parse(t, fromCorpus(t, wrapperBase))))
}

func TestUnmarshalText(t *testing.T) {
	var n narinfo.NarInfo
	require.NoError(t, n.UnmarshalText([]byte(minimal)))
	assert.True(t, n.Equal(parse(t, minimal)))
	require.Error(t, n.UnmarshalText([]byte("no")))
	assert.True(t, n.Equal(parse(t, minimal)), "unchanged by the failure")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(fromCorpus(f, wrapperBase)))
	f.Add([]byte(fromCorpus(f, "284qavhf4n0k160prrhxm22hxkxxlsb8-ca-user")))
	f.Add([]byte("A: b\n" + minimal + "C: d\nDeriver: unknown-deriver\nCA: \n"))
	f.Add([]byte("\n\n:\n: \nSig: a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := narinfo.Parse(text)
		if err != nil {
			require.Nil(t, n)
			return
		}
		printed, err := n.MarshalText()
		require.NoError(t, err, "what can be read can be written")
		again, err := narinfo.Parse(printed)
		require.NoError(t, err)
		require.True(t, n.Equal(again))
		twice, err := again.MarshalText()
		require.NoError(t, err)
		require.Equal(t, string(printed), string(twice))

		_, err = n.Fingerprint()
		require.NoError(t, err)
		n.Validate()
	})
}

// narInfoWith returns a narinfo with n references.
func narInfoWith(t testing.TB, n int) *narinfo.NarInfo {
	t.Helper()
	info := parse(t, fromCorpus(t, wrapperBase))
	info.References = nil
	for i := range n {
		hash := nixhash.Sum(nixhash.SHA256, fmt.Append(nil, i)).Digest()[:20]
		info.References = append(info.References, storePath(t, nixhash.EncodeNix32(hash)+"-some-package-1.2.3"))
	}
	return info
}
