package narinfo_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// changes has one change of every field of a narinfo with two references and an
// extra field.
var changes = map[string]func(n *narinfo.NarInfo){
	"StoreDir":    func(n *narinfo.NarInfo) { n.StoreDir = "/other" },
	"Path":        func(n *narinfo.NarInfo) { n.Path = n.References[1] },
	"NarHash":     func(n *narinfo.NarInfo) { n.NarHash = n.FileHash },
	"NarSize":     func(n *narinfo.NarInfo) { n.NarSize++ },
	"References":  func(n *narinfo.NarInfo) { n.References = n.References[:1] },
	"a reference": func(n *narinfo.NarInfo) { n.References[0] = n.Deriver },
	"Deriver":     func(n *narinfo.NarInfo) { n.Deriver = storepath.Path{} },
	"Signatures":  func(n *narinfo.NarInfo) { n.Signatures = nil },
	"a signature": func(n *narinfo.NarInfo) { n.Signatures[0].Data[0]++ },
	"CA": func(n *narinfo.NarInfo) {
		n.CA = storepath.ContentAddress{Method: storepath.MethodNAR, Hash: n.NarHash}
	},
	"URL":         func(n *narinfo.NarInfo) { n.URL = "other" },
	"Compression": func(n *narinfo.NarInfo) { n.Compression = narinfo.CompressionZstd },
	"FileHash":    func(n *narinfo.NarInfo) { n.FileHash = nixhash.Hash{} },
	"FileSize":    func(n *narinfo.NarInfo) { n.FileSize++ },
	"Extra":       func(n *narinfo.NarInfo) { n.Extra = nil },
	"an extra":    func(n *narinfo.NarInfo) { n.Extra[0].Value = "y" },
}

func TestEqualAndClone(t *testing.T) {
	text := fromCorpus(t, wrapperBase) + "Extra: x\n"
	n := parse(t, text)
	assert.True(t, n.Equal(n.Clone()))
	assert.True(t, n.PathInfo.Equal(n.PathInfo.Clone()))
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			clone := n.Clone()
			change(clone)
			assert.False(t, n.Equal(clone))
			assert.False(t, clone.Equal(n))
			assert.Equal(t, parse(t, text), n, "the original is untouched")
		})
	}
}

func TestEqualTakesSetsForSets(t *testing.T) {
	n := parse(t, fromCorpus(t, helloBase))
	n.References = []storepath.Path{storePath(t, wrapperBase), storePath(t, helloBase)}
	m := n.Clone()
	slices.Reverse(m.References)
	slices.Reverse(m.Signatures)
	m.References = append(m.References, m.References[0])
	assert.True(t, n.Equal(m))

	n.References, m.References = nil, []storepath.Path{}
	assert.True(t, n.Equal(m), "none is none")
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(n *narinfo.NarInfo)
		message string
	}{
		{"references in disorder", func(n *narinfo.NarInfo) { slices.Reverse(n.References) }, "references are not sorted, or repeat: " + wrapperBase},
		{"repeated reference", func(n *narinfo.NarInfo) { n.References[1] = n.References[0] }, "references are not sorted, or repeat: " + wrapperBase},
		{"repeated signature", func(n *narinfo.NarInfo) { n.Signatures = append(n.Signatures, n.Signatures[0]) }, `signature by "lab-cache-1" is repeated`},
		{"content address of another path", func(n *narinfo.NarInfo) {
			n.CA = storepath.ContentAddress{Method: storepath.MethodNAR, Hash: n.NarHash}
		}, "content address fixed:r:sha256:"},
		{"unknown Compression", func(n *narinfo.NarInfo) { n.Compression = "bogus" }, `Compression "bogus" is not known to Nix`},
		{"FileSize of zero", func(n *narinfo.NarInfo) { n.FileSize = 0 }, "FileSize is zero"},
		{"other FileHash without compression", func(n *narinfo.NarInfo) { n.Compression = narinfo.CompressionNone }, "FileHash sha256:11ai0b6gqvki57k4gpsgbsx89abfvly57vfmrpmlphx7knmdvhid is not NarHash"},
		{"other FileSize without compression", func(n *narinfo.NarInfo) { n.Compression = narinfo.CompressionNone }, "FileSize 348 is not NarSize 1056"},
		{"no size at all", func(n *narinfo.NarInfo) { n.NarSize = 0 }, "NarSize is 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := parse(t, fromCorpus(t, wrapperBase))
			require.NoError(t, n.Validate())
			test.change(n)
			require.ErrorContains(t, n.Validate(), test.message)
		})
	}

	t.Run("all problems at once", func(t *testing.T) {
		n := parse(t, fromCorpus(t, wrapperBase))
		slices.Reverse(n.References)
		n.URL, n.NarSize = "", 0
		err := n.Validate()
		require.ErrorContains(t, err, "not sorted")
		require.ErrorContains(t, err, "URL is missing")
		require.ErrorContains(t, err, "NarSize is 0")
	})
	t.Run("nothing at all", func(t *testing.T) {
		require.ErrorContains(t, new(narinfo.NarInfo).Validate(), "store object has no path")
	})
}

func TestCompressionKnown(t *testing.T) {
	for _, c := range []narinfo.Compression{"none", "br", "bzip2", "compress", "grzip", "gzip", "lrzip", "lz4", "lzip", "lzma", "lzop", "xz", "zstd"} {
		assert.True(t, c.Known(), string(c))
	}
	assert.False(t, narinfo.Compression("").Known())
	assert.False(t, narinfo.Compression("XZ").Known())
}
