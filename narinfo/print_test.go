package narinfo_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

func TestUnknownFieldsComeBackInPlace(t *testing.T) {
	lines := strings.SplitAfter(strings.TrimSuffix(fromCorpus(t, wrapperBase), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	for i := range len(lines) + 1 {
		text := strings.Join(slices.Insert(slices.Clone(lines), i, "System: x86_64-linux\n", "Other: \n"), "")
		out, err := parse(t, text).MarshalText()
		require.NoError(t, err)
		assert.Equal(t, text, string(out))
	}
}

func TestUnknownFieldStaysWhereItsNeighbourIsRemoved(t *testing.T) {
	n := parse(t, strings.Replace(fromCorpus(t, wrapperBase), "Deriver", "System: x86_64-linux\nDeriver", 1))
	n.Deriver = storepath.Path{}
	out, err := n.MarshalText()
	require.NoError(t, err)
	assert.Contains(t, string(out), "-hello-1.0\nSystem: x86_64-linux\nSig: ")
}

func TestFieldsInAnyOrderComeOutInNixOrder(t *testing.T) {
	want := fromCorpus(t, "284qavhf4n0k160prrhxm22hxkxxlsb8-ca-user")
	lines := strings.SplitAfter(strings.TrimSuffix(want, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	slices.Reverse(lines)
	out, err := parse(t, strings.Join(lines, "")).MarshalText()
	require.NoError(t, err)
	assert.Equal(t, want, string(out))
}

func TestReferencesComeOutAsASet(t *testing.T) {
	a, b := storePath(t, wrapperBase), storePath(t, helloBase)
	n := parse(t, minimal)
	n.References = []storepath.Path{b, a, b}
	out, err := n.MarshalText()
	require.NoError(t, err)
	assert.Contains(t, string(out), "References: "+a.String()+" "+b.String()+"\n")
	assert.Equal(t, []storepath.Path{b, a, b}, n.References, "not sorted in place")
}

// TestReferencesOfAnyKindComeOutAsASet uses references that differ early or late,
// short ones and long ones.
func TestReferencesOfAnyKindComeOutAsASet(t *testing.T) {
	var paths []storepath.Path
	for _, hash := range []string{strings.Repeat("0", 32), "00000000" + strings.Repeat("1", 24), strings.Repeat("1", 32)} {
		for _, length := range []int{1, 30, 31, 32, 211} {
			path, err := storepath.ParseBase(hash + "-" + strings.Repeat("n", length))
			require.NoError(t, err)
			paths = append(paths, path)
		}
	}
	n := parse(t, minimal)
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		n.References = nil
		for range random.IntN(5) {
			n.References = append(n.References, paths[random.IntN(len(paths))])
		}
		want := slices.Clone(n.References)
		slices.SortFunc(want, storepath.Path.Compare)
		want = slices.Compact(want)
		out, err := n.MarshalText()
		require.NoError(t, err)
		require.Equal(t, want, parse(t, string(out)).References, "of %v", n.References)

		n.References = slices.Insert(n.References, random.IntN(len(n.References)+1), storepath.Path{})
		_, err = n.MarshalText()
		require.ErrorContains(t, err, "a reference is the zero path")
	}
}

func TestSizesComeOutInDecimal(t *testing.T) {
	n := parse(t, minimal)
	assertSize := func(size int64) {
		t.Helper()
		n.NarSize = size
		out, err := n.MarshalText()
		require.NoError(t, err)
		require.Contains(t, string(out), "\nNarSize: "+strconv.FormatInt(size, 10)+"\n")
	}
	for power := int64(1); power < math.MaxInt64/10; power *= 10 {
		for _, size := range []int64{power, power + 1, 10*power - 1} {
			assertSize(size)
		}
	}
	assertSize(math.MaxInt64)
	random := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		assertSize(random.Int64N(100_000_000) + 1)
	}
}

func TestSignaturesComeOutSorted(t *testing.T) {
	sig := func(name string, first byte) narinfo.Signature {
		return narinfo.Signature{KeyName: name, Data: [64]byte{first}}
	}
	for _, test := range []struct {
		name     string
		in, want []narinfo.Signature
	}{
		{"by name", []narinfo.Signature{sig("b", 0), sig("a", 0)}, []narinfo.Signature{sig("a", 0), sig("b", 0)}},
		// In base64, 0xf8 begins with "+", which is less than "A".
		{"by text", []narinfo.Signature{sig("a", 4), sig("b", 0), sig("a", 0xf8)}, []narinfo.Signature{sig("a", 0xf8), sig("a", 4), sig("b", 0)}},
		{"a colon is greater than a hyphen", []narinfo.Signature{sig("b", 0), sig("a", 0), sig("a-1", 0)}, []narinfo.Signature{sig("a-1", 0), sig("a", 0), sig("b", 0)}},
		{"the order of newer Nix stays", []narinfo.Signature{sig("a", 4), sig("a", 0xf8), sig("a-1", 0)}, []narinfo.Signature{sig("a", 4), sig("a", 0xf8), sig("a-1", 0)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			assertSignatures(t, test.in, test.want)
		})
	}
}

// assertSignatures prints a narinfo with one list of signatures and expects to
// read another.
func assertSignatures(t *testing.T, in, want []narinfo.Signature) {
	t.Helper()
	n := parse(t, minimal)
	n.Signatures = in
	before := slices.Clone(in)
	out, err := n.MarshalText()
	require.NoError(t, err)
	assert.Equal(t, want, parse(t, string(out)).Signatures)
	assert.Equal(t, before, n.Signatures, "not sorted or changed in place")
}

func TestRepeatedSignaturesComeOutOnce(t *testing.T) {
	sig := func(name string, first byte) narinfo.Signature {
		return narinfo.Signature{KeyName: name, Data: [64]byte{first}}
	}
	a, b := sig("a", 1), sig("b", 1)
	for _, test := range []struct {
		name     string
		in, want []narinfo.Signature
	}{
		{"twice", []narinfo.Signature{a, a}, []narinfo.Signature{a}},
		{"next to each other", []narinfo.Signature{a, a, b, b, b}, []narinfo.Signature{a, b}},
		{"apart", []narinfo.Signature{b, a, b, a}, []narinfo.Signature{a, b}},
		{"others of the key stay", []narinfo.Signature{a, sig("a", 2), a}, []narinfo.Signature{a, sig("a", 2)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			assertSignatures(t, test.in, test.want)
		})
	}
}

// TestFileSizeOfZero expects a FileSize after every FileHash, as Nix writes it.
func TestFileSizeOfZero(t *testing.T) {
	const sized = "FileSize: 348\n"
	text := fromCorpus(t, wrapperBase)
	zero := strings.Replace(text, sized, "FileSize: 0\n", 1)
	require.NotEqual(t, text, zero)
	hash := "FileHash: " + parse(t, text).FileHash.String() + "\n"
	for _, test := range []struct{ name, in, want string }{
		{"beside FileHash", zero, zero},
		{"left out beside FileHash", strings.Replace(text, sized, "", 1), zero},
		{"without FileHash", strings.Replace(zero, hash, "", 1), strings.Replace(zero, hash+"FileSize: 0\n", "", 1)},
		{"neither", strings.Replace(text, hash+sized, "", 1), strings.Replace(text, hash+sized, "", 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := parse(t, test.in).MarshalText()
			require.NoError(t, err)
			assert.Equal(t, test.want, string(out))
		})
	}
}

func TestUnknownFieldBetweenSignaturesMovesBeforeThem(t *testing.T) {
	text := fromCorpus(t, helloBase)
	between := strings.Replace(text, "Sig: other-2", "System: x86_64-linux\nSig: other-2", 1)
	require.NotEqual(t, text, between)
	out, err := parse(t, between).MarshalText()
	require.NoError(t, err)
	assert.Equal(t, strings.Replace(text, "Sig: ", "System: x86_64-linux\nSig: ", 1), string(out))
}

func TestTextMayExceedTheBoundsOfParse(t *testing.T) {
	n := parse(t, minimal)
	for i := range 257 {
		n.Signatures = append(n.Signatures, narinfo.Signature{KeyName: "a", Data: [64]byte{byte(i >> 8), byte(i)}})
	}
	text, err := n.MarshalText()
	require.NoError(t, err)
	_, err = narinfo.Parse(text)
	require.ErrorContains(t, err, "more than 256 signatures")
}

func TestMarshalTextRefuses(t *testing.T) {
	for _, test := range []struct {
		name    string
		break_  func(n *narinfo.NarInfo)
		message string
	}{
		{"no path", func(n *narinfo.NarInfo) { n.Path = storepath.Path{} }, "narinfo: store object has no path"},
		{"no store directory", func(n *narinfo.NarInfo) { n.StoreDir = "" }, "store directory is empty"},
		{"line end in the store directory", func(n *narinfo.NarInfo) { n.StoreDir = "/nix\nURL: x" }, "control character"},
		{"no URL", func(n *narinfo.NarInfo) { n.URL = "" }, "URL is missing"},
		{"line end in the URL", func(n *narinfo.NarInfo) { n.URL = "x\nSig: y" }, "URL \"x\\nSig: y\" has a line end"},
		{"no Compression", func(n *narinfo.NarInfo) { n.Compression = "" }, "Compression is missing"},
		{"line end in Compression", func(n *narinfo.NarInfo) { n.Compression = "xz\n" }, "has a line end"},
		{"no NarHash", func(n *narinfo.NarInfo) { n.NarHash = nixhash.Hash{} }, "NarHash is missing"},
		{"NarHash of sha512", func(n *narinfo.NarInfo) { n.NarHash = nixhash.Sum(nixhash.SHA512, nil) }, "NarHash is of sha512"},
		{"no NarSize", func(n *narinfo.NarInfo) { n.NarSize = 0 }, "NarSize is 0"},
		{"negative FileSize", func(n *narinfo.NarInfo) { n.FileSize = -1 }, "FileSize is -1"},
		{"zero reference", func(n *narinfo.NarInfo) { n.References = []storepath.Path{{}} }, "a reference is the zero path"},
		{"signature without a name", func(n *narinfo.NarInfo) { n.Signatures = []narinfo.Signature{{}} }, "key name is empty"},
		{"signature with a line end", func(n *narinfo.NarInfo) { n.Signatures = []narinfo.Signature{{KeyName: "a\nCA"}} }, `signature by "a\nCA": key name has '\n' at byte 1`},
		{"half a CA", func(n *narinfo.NarInfo) { n.CA.Method = storepath.MethodNAR }, "content address has no hash"},
		{"the other half of a CA", func(n *narinfo.NarInfo) { n.CA.Hash = n.NarHash }, "unknown content address method 0"},
		{"extra field with a colon", func(n *narinfo.NarInfo) { n.Extra = []narinfo.Field{{Name: "a:b"}} }, "has a colon or a line end"},
		{"extra field with a line end", func(n *narinfo.NarInfo) { n.Extra = []narinfo.Field{{Name: "a", Value: "b\nSig: c"}} }, "has a colon or a line end"},
		{"extra field with a known name", func(n *narinfo.NarInfo) { n.Extra = []narinfo.Field{{Name: "URL", Value: "x"}} }, "has the name of a known field"},
		{"extra field that is a signature", func(n *narinfo.NarInfo) {
			n.Extra = []narinfo.Field{{Name: "Sig", Value: n.Signatures[0].String()}}
		}, "is a signature"},
		{"extra field with no place", func(n *narinfo.NarInfo) { n.Extra = []narinfo.Field{{Name: "a", Before: "Nowhere"}} }, `before "Nowhere"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := parse(t, fromCorpus(t, wrapperBase))
			test.break_(n)
			dst, err := n.AppendText([]byte("before"))
			require.ErrorContains(t, err, test.message)
			assert.Equal(t, "before", string(dst))
			assert.Error(t, n.Validate())
		})
	}
}

func TestAppendText(t *testing.T) {
	text := fromCorpus(t, wrapperBase)
	n := parse(t, text)
	out, err := n.AppendText([]byte("before"))
	require.NoError(t, err)
	assert.Equal(t, "before"+text, string(out))
}

func TestAllocations(t *testing.T) {
	info := narInfoWith(t, 50)
	slices.SortFunc(info.References, storepath.Path.Compare)
	text, err := info.MarshalText()
	require.NoError(t, err)
	buf := make([]byte, 0, 2*len(text))
	// The text, the NarInfo, the references, the signatures.
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { narinfo.Parse(text) }), 4.0, "Parse")
	assert.Zero(t, testing.AllocsPerRun(100, func() { info.AppendText(buf) }), "AppendText")
	assert.Zero(t, testing.AllocsPerRun(100, func() { info.AppendFingerprint(buf) }), "AppendFingerprint")
}

// References of all lengths, into buffers of all kinds.
func TestAppendTextReferencesOfAllLengths(t *testing.T) {
	n := narInfoWith(t, 0)
	var want []string
	for length := 1; length <= 211; length++ {
		hash := nixhash.EncodeNix32(nixhash.Sum(nixhash.SHA256, []byte{byte(length)}).Digest()[:20])
		ref, err := storepath.ParseBase(hash + "-" + strings.Repeat("n", length))
		require.NoError(t, err)
		n.References = append(n.References, ref)
		want = append(want, ref.String())
	}
	slices.SortFunc(n.References, storepath.Path.Compare)
	slices.Sort(want)
	text, err := n.MarshalText()
	require.NoError(t, err)
	assert.Contains(t, string(text), "\nReferences: "+strings.Join(want, " ")+"\n")
	for _, room := range []int{0, 1, 100, len(text) - 1, len(text), len(text) + 1, 2 * len(text)} {
		dst := append(make([]byte, 0, 3+room), "abc"...)
		got, err := n.AppendText(dst)
		require.NoError(t, err)
		require.Equal(t, "abc"+string(text), string(got), "room for %d", room)
	}
}
