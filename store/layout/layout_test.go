package layout_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/layout"
)

const hashPart = "p4pclmv1gyja5kzc26npqpia1qqxrf0l"

func TestKindOf(t *testing.T) {
	id := strings.Repeat("ab", 20)
	for key, want := range map[string]layout.Kind{
		"nix-cache-info":             layout.CacheInfo,
		hashPart + ".narinfo":        layout.NarInfo,
		hashPart + ".ls":             layout.Listing,
		"nar/x.nar.xz":               layout.Archive,
		"nar/sub/x.nar":              layout.Archive,
		"nar/x.idx":                  layout.Index,
		"log/" + hashPart + "-a.drv": layout.Log,
		"debuginfo/" + id:            layout.DebugInfo,
		"debuginfo/" + id + ".debug": layout.DebugInfo,
		"debuginfo/abcdef":           layout.DebugInfo,
		"build-trace-v2/" + hashPart + "-a.drv/out.doi":               layout.Realisation,
		"realisations/sha256:" + strings.Repeat("0", 64) + "!out.doi": layout.Realisation,
		"nixs3/roots/ci/main/1":                                       layout.Control,

		"":                                      layout.Other,
		"index.html":                            layout.Other,
		"nar/":                                  layout.Other,
		"nar/../" + hashPart + ".ls":            layout.Other,
		"nar//x.nar":                            layout.Other,
		"nar/./x":                               layout.Other,
		"nar/a\\b":                              layout.Other,
		"log/":                                  layout.Other,
		"log/x":                                 layout.Other,
		"log/a/" + hashPart + "-a":              layout.Other,
		"debuginfo/":                            layout.Other,
		"debuginfo/abcde":                       layout.Other,
		"debuginfo/abcdeg":                      layout.Other,
		"debuginfo/abcd":                        layout.Other,
		"debuginfo/" + strings.Repeat("ab", 65): layout.Other,
		"realisations/x.doi":                    layout.Other,
		"build-trace-v2/x.doi":                  layout.Other,
		"nixs3/":                                layout.Other,
		"nixs3":                                 layout.Other,
		"x.narinfo":                             layout.Other,
		"e" + hashPart[1:] + ".narinfo":         layout.Other,
		"a/" + hashPart + ".narinfo":            layout.Other,
		hashPart:                                layout.Other,
	} {
		assert.Equal(t, want, layout.KindOf(key), "%q", key)
	}
}

func TestKindOfPrefix(t *testing.T) {
	assert.Equal(t, layout.Archive, layout.KindOfPrefix("nar/"))
	assert.Equal(t, layout.Archive, layout.KindOfPrefix("nar/0"))
	assert.Equal(t, layout.Control, layout.KindOfPrefix("nixs3/roots/"))
	assert.Equal(t, layout.Other, layout.KindOfPrefix(""))
	assert.Equal(t, layout.Other, layout.KindOfPrefix("na"))
}

func TestKeys(t *testing.T) {
	hash := nixhash.FromSHA256([32]byte{1})
	drv, err := storepath.ParseBase(hashPart + "-a.drv")
	require.NoError(t, err)
	id := narinfo.DrvOutput{DrvPath: drv, Output: "out"}
	for key, want := range map[string]layout.Kind{
		layout.NarInfoKey(hashPart):                   layout.NarInfo,
		layout.ListingKey(hashPart):                   layout.Listing,
		layout.ArchiveKey(hash, "xz"):                 layout.Archive,
		layout.ArchiveKey(hash, "gzip"):               layout.Archive,
		layout.IndexKey(hash):                         layout.Index,
		layout.LogKey(drv):                            layout.Log,
		layout.DebugInfoKey(strings.Repeat("0a", 20)): layout.DebugInfo,
		layout.RealisationKey(id):                     layout.Realisation,
	} {
		assert.Equal(t, want, layout.KindOf(key), "%q", key)
		assert.NotEmpty(t, want.ContentType())
	}
	for c, extension := range map[narinfo.Compression]string{
		"xz": ".xz", "bzip2": ".bz2", "zstd": ".zst", "lzip": ".lzip", "lz4": ".lz4", "br": ".br",
		"gzip": "", "lzma": "", "compress": "", "none": "", "grzip": "", "no such": "",
	} {
		assert.Equal(t, "nar/"+hash.Nix32()+".nar"+extension, layout.ArchiveKey(hash, c))
	}
	got, ok := layout.ParseNarInfoKey(layout.NarInfoKey(hashPart))
	assert.True(t, ok)
	assert.Equal(t, hashPart, got)
}

func TestReferenceKey(t *testing.T) {
	for ref, want := range map[string]string{
		"nar/x.nar.xz":     "nar/x.nar.xz",
		"nar/x.nar?hash=y": "nar/x.nar",
		"../nar/x.nar":     "nar/x.nar",
		"/nar/x.nar":       "nar/x.nar",
		"nar/a%20b":        "nar/a b",
	} {
		got, err := layout.ReferenceKey(ref)
		assert.NoError(t, err, ref)
		assert.Equal(t, want, got, ref)
	}
	for _, ref := range []string{"", "/", "..", "https://example.org/x", "//host/x", "%zz"} {
		_, err := layout.ReferenceKey(ref)
		assert.Error(t, err, ref)
	}
}

func FuzzKindOf(f *testing.F) {
	for _, key := range []string{"nar/x", hashPart + ".narinfo", "log/" + hashPart + "-a.drv", "debuginfo/abcdef", "nixs3/x"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		kind := layout.KindOf(key)
		if kind != layout.Other && kind != layout.CacheInfo {
			ref, err := layout.ReferenceKey((&url.URL{Path: key}).String())
			if err != nil || ref != key {
				t.Fatalf("%q is of kind %v and its reference is %q, %v", key, kind, ref, err)
			}
		}
	})
}

// A narinfo that is over the bound of its kind is one that narinfo.Parse
// refuses.
func TestNarInfoLimit(t *testing.T) {
	_, err := narinfo.Parse([]byte(strings.Repeat("x", int(layout.NarInfo.Limit())+1)))
	require.ErrorContains(t, err, "at most 4194304")
}
