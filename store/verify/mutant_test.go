package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/verify"
)

// A mutant is a cache of the corpus with one fault, which shows at a depth, as
// one of several kinds. spared says that CheckCache does not look for it.
type mutant struct {
	name   string
	mutate func(t testing.TB, b blob.Bucket)
	depth  verify.Depth
	kinds  []verify.Kind
	spared bool
	rich   bool // of the rich cache only
}

// Paths of the corpus: one that others refer to, one that refers to it, one
// with debug files, one with a content address.
const (
	hello    = "hello-1.0"
	referrer = "wrapper-1.0"
	debug    = "hello-1.0-debug"
	fixed    = "fixed-out"
)

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

// damages are what a disk, a network or an uploader does to any object.
var damages = []struct {
	name string
	do   func(data []byte) []byte
}{
	{"first byte flipped", func(data []byte) []byte { return flip(data, 0) }},
	{"middle byte flipped", func(data []byte) []byte { return flip(data, len(data)/2) }},
	{"last byte flipped", func(data []byte) []byte { return flip(data, len(data)-1) }},
	{"cut in half", func(data []byte) []byte { return data[:len(data)/2] }},
	{"emptied", func(data []byte) []byte { return nil }},
	{"last byte lost", func(data []byte) []byte { return data[:len(data)-1] }},
	{"zeros", func(data []byte) []byte { return make([]byte, len(data)) }},
	{"longer by a byte", func(data []byte) []byte { return append(bytes.Clone(data), 'x') }},
}

func infoOf(t testing.TB, b blob.Bucket, name string) *narinfo.NarInfo {
	t.Helper()
	for a, err := range b.List(t.Context(), blob.ListOptions{Shallow: true}) {
		require.NoError(t, err)
		if layout.KindOf(a.Key) != layout.NarInfo {
			continue
		}
		info, err := narinfo.Parse(get(t, b, a.Key))
		require.NoError(t, err)
		if info.Path.Name() == name && info.CA.IsZero() == (name != fixed) {
			return info
		}
	}
	t.Fatalf("the corpus has no %s", name)
	return nil
}

func infoKey(info *narinfo.NarInfo) string { return layout.NarInfoKey(info.Path.HashPart()) }
func listKey(info *narinfo.NarInfo) string { return layout.ListingKey(info.Path.HashPart()) }

// firstBelow returns the first key with a prefix.
func firstBelow(t testing.TB, b blob.Bucket, prefix string) string {
	t.Helper()
	for a, err := range b.List(t.Context(), blob.ListOptions{Prefix: prefix}) {
		require.NoError(t, err)
		return a.Key
	}
	return ""
}

// damaged are mutants with one object damaged in each of the ways.
func damaged(object string, key func(testing.TB, blob.Bucket) string, depth verify.Depth, spared bool, kinds ...verify.Kind) []mutant {
	var all []mutant
	for _, d := range damages {
		all = append(all, mutant{object + " " + d.name, func(t testing.TB, b blob.Bucket) {
			k := key(t, b)
			put(t, b, k, d.do(get(t, b, k)))
		}, depth, kinds, spared, false})
	}
	return all
}

// edited is a mutant with a narinfo that says something else, whether a key
// signs it or not.
func edited(name, path string, depth verify.Depth, edit func(*narinfo.NarInfo), kinds ...verify.Kind) mutant {
	return mutant{name: name, depth: depth, kinds: kinds, mutate: func(t testing.TB, b blob.Bucket) {
		info := infoOf(t, b, path)
		edit(info)
		text, err := info.MarshalText()
		require.NoError(t, err)
		put(t, b, infoKey(info), text)
	}}
}

func deleted(name string, key func(testing.TB, blob.Bucket) string, depth verify.Depth, spared bool, kinds ...verify.Kind) mutant {
	return mutant{name, func(t testing.TB, b blob.Bucket) { require.NoError(t, b.Delete(t.Context(), key(t, b))) }, depth, kinds, spared, false}
}

// swapped exchanges two objects.
func swapped(name string, keys func(testing.TB, blob.Bucket) (string, string), depth verify.Depth, spared bool, kinds ...verify.Kind) mutant {
	return mutant{name, func(t testing.TB, b blob.Bucket) {
		x, y := keys(t, b)
		dx, dy := get(t, b, x), get(t, b, y)
		put(t, b, x, dy)
		put(t, b, y, dx)
	}, depth, kinds, spared, false}
}

func narInfoKey(name string) func(testing.TB, blob.Bucket) string {
	return func(t testing.TB, b blob.Bucket) string { return infoKey(infoOf(t, b, name)) }
}

func archiveKey(name string) func(testing.TB, blob.Bucket) string {
	return func(t testing.TB, b blob.Bucket) string { return infoOf(t, b, name).URL }
}

func listingKey(name string) func(testing.TB, blob.Bucket) string {
	return func(t testing.TB, b blob.Bucket) string { return listKey(infoOf(t, b, name)) }
}

func below(prefix string) func(testing.TB, blob.Bucket) string {
	return func(t testing.TB, b blob.Bucket) string { return firstBelow(t, b, prefix) }
}

func two(key func(string) func(testing.TB, blob.Bucket) string, x, y string) func(testing.TB, blob.Bucket) (string, string) {
	return func(t testing.TB, b blob.Bucket) (string, string) { return key(x)(t, b), key(y)(t, b) }
}

// indexKey returns the key of the only index.
func indexKey(t testing.TB, b blob.Bucket) string {
	return layout.IndexKey(infoOf(t, b, unshared).FileHash)
}

// mutants are every kind of object with every kind of damage.
func mutants() []mutant {
	broken := []verify.Kind{verify.ArchiveSize, verify.ArchiveFileHash}
	all := slices.Concat(
		damaged("archive", archiveKey(hello), verify.Files, false, broken...),
		damaged("archive of fixed output", archiveKey(fixed), verify.Files, false, broken...),
		damaged("listing", listingKey(hello), verify.Contents, true, verify.ListingInvalid),
		damaged("debuginfo", below(layout.DebugInfoPrefix), verify.Contents, true, verify.DebugInfoInvalid),
	)
	for _, m := range damaged("nix-cache-info", func(testing.TB, blob.Bucket) string { return layout.CacheInfoKey }, verify.Metadata, true, verify.CacheInfoInvalid) {
		// A reader needs no line end, and passes over a line without a colon.
		if !strings.Contains(m.name, "last byte") && !strings.Contains(m.name, "longer") {
			all = append(all, m)
		}
	}
	all = append(all, damaged("narinfo", narInfoKey(hello), verify.Metadata, false,
		verify.NarInfoInvalid, verify.Untrusted, verify.SignatureInvalid, verify.ContentAddressInvalid, verify.ArchiveMissing)...)
	for object, of := range map[string]struct {
		prefix string
		kind   verify.Kind
	}{
		"log":                       {layout.LogPrefix, verify.LogInvalid},
		"realisation":               {layout.RealisationPrefixes()[0], verify.RealisationInvalid},
		"realisation by derivation": {layout.RealisationPrefixes()[1], verify.RealisationInvalid},
	} {
		for _, m := range damaged(object, below(of.prefix), verify.Contents, true, of.kind) {
			m.rich = true
			all = append(all, m)
		}
	}
	for _, m := range append(damaged("index", indexKey, verify.Contents, true, verify.IndexInvalid),
		mutant{name: "index of another archive", depth: verify.Contents, kinds: []verify.Kind{verify.IndexInvalid}, spared: true,
			mutate: func(t testing.TB, b blob.Bucket) {
				put(t, b, indexKey(t, b), []byte("\x5e\x2a\x4d\x18\x11\x00\x00\x00\x10\x00\x00\x00\x10\x00\x00\x00\x01\x00\x00\x00\x00\xb1\xea\x92\x8f"))
			}},
		swapped("realisations swapped", func(t testing.TB, b blob.Bucket) (string, string) {
			return firstBelow(t, b, layout.RealisationPrefixes()[0]), firstBelow(t, b, layout.RealisationPrefixes()[1])
		}, verify.Contents, true, verify.RealisationInvalid),
		mutant{name: "realisation of a path that is not there", depth: verify.Contents, kinds: []verify.Kind{verify.RealisationInvalid}, spared: true,
			mutate: func(t testing.TB, b blob.Bucket) {
				key := firstBelow(t, b, layout.RealisationPrefixes()[1])
				put(t, b, key, bytes.ReplaceAll(get(t, b, key), []byte(infoOf(t, b, hello).Path.HashPart()), []byte("00000000000000000000000000000000")))
			}},
	) {
		m.rich = true
		all = append(all, m)
	}
	return append(all,
		deleted("nix-cache-info deleted", func(testing.TB, blob.Bucket) string { return layout.CacheInfoKey }, verify.Listing, true, verify.CacheInfoMissing),
		deleted("archive deleted", archiveKey(hello), verify.Listing, false, verify.ArchiveMissing),
		deleted("narinfo deleted", narInfoKey(hello), verify.Metadata, false, verify.ReferenceMissing),
		deleted("narinfo without referrers deleted", narInfoKey(referrer), verify.Listing, true, verify.ListingOrphaned),
		deleted("listing deleted", listingKey(hello), verify.Listing, true, verify.ListingMissing),
		deleted("debuginfo deleted", below(layout.DebugInfoPrefix), verify.Contents, true, verify.DebugInfoMissing),

		swapped("narinfos swapped", two(narInfoKey, hello, referrer), verify.Listing, false, verify.NarInfoMisnamed),
		swapped("archives swapped", two(archiveKey, hello, referrer), verify.Files, false, broken...),
		swapped("listings swapped", two(listingKey, hello, debug), verify.Contents, true, verify.ListingInvalid),
		swapped("debuginfo swapped", func(t testing.TB, b blob.Bucket) (string, string) {
			var keys []string
			for a, err := range b.List(t.Context(), blob.ListOptions{Prefix: layout.DebugInfoPrefix}) {
				require.NoError(t, err)
				keys = append(keys, a.Key)
			}
			return keys[0], keys[1]
		}, verify.Contents, true, verify.DebugInfoInvalid),
		mutant{"narinfo of another path", func(t testing.TB, b blob.Bucket) {
			put(t, b, narInfoKey(hello)(t, b), get(t, b, narInfoKey(referrer)(t, b)))
		}, verify.Listing, []verify.Kind{verify.NarInfoMisnamed}, false, false},
		mutant{"archive of another path", func(t testing.TB, b blob.Bucket) {
			put(t, b, archiveKey(hello)(t, b), get(t, b, archiveKey(referrer)(t, b)))
		}, verify.Files, broken, false, false},

		edited("FileSize one more", hello, verify.Listing, func(n *narinfo.NarInfo) { n.FileSize++ }, verify.ArchiveSize),
		edited("FileSize one less", hello, verify.Listing, func(n *narinfo.NarInfo) { n.FileSize-- }, verify.ArchiveSize),
		edited("FileHash of another", hello, verify.Files, func(n *narinfo.NarInfo) {
			n.FileHash = narinfoHash("x")
			if n.Compression == codec.None {
				n.Compression = "gzip" // else the narinfo contradicts itself
			}
		}, verify.ArchiveFileHash),
		edited("NarHash of another", hello, verify.Metadata, func(n *narinfo.NarInfo) { n.NarHash = narinfoHash("x") }, verify.Untrusted, verify.NarInfoInvalid),
		edited("NarHash of another, unsigned", hello, verify.Contents, func(n *narinfo.NarInfo) { n.NarHash = narinfoHash("x") }, verify.ArchiveNarHash),
		edited("NarSize one more", hello, verify.Contents, func(n *narinfo.NarInfo) { n.NarSize++ }, verify.ArchiveNarSize),
		edited("NarSize one less", hello, verify.Contents, func(n *narinfo.NarInfo) { n.NarSize-- }, verify.ArchiveNarSize),
		edited("URL that leads nowhere", hello, verify.Listing, func(n *narinfo.NarInfo) { n.URL = "nar/none.nar" }, verify.ArchiveMissing),
		edited("URL that leads out of the cache", hello, verify.Listing, func(n *narinfo.NarInfo) { n.URL = "https://example.org/x.nar" }, verify.NarInfoInvalid),
		edited("unknown compression", hello, verify.Metadata, func(n *narinfo.NarInfo) { n.Compression = "arj" }, verify.NarInfoInvalid),
		edited("a reference that is missing", hello, verify.Metadata, func(n *narinfo.NarInfo) {
			n.References = append(n.References, path("00000000000000000000000000000000-missing"))
			slices.SortFunc(n.References, comparePaths)
		}, verify.ReferenceMissing),
		edited("a reference that was dropped", referrer, verify.Contents, func(n *narinfo.NarInfo) { n.References = n.References[:0] }, verify.ReferenceUndeclared),
		edited("a reference of another name", referrer, verify.Metadata, func(n *narinfo.NarInfo) {
			n.References[0] = path(n.References[0].HashPart() + "-another")
		}, verify.ReferenceMissing),
		edited("no signature", hello, verify.Metadata, func(n *narinfo.NarInfo) { n.Signatures = nil }, verify.Untrusted),
		edited("a signature by an unknown key", hello, verify.Metadata, func(n *narinfo.NarInfo) { n.Signatures[0].KeyName = "unknown-1" }, verify.Untrusted),
		edited("a signature of another path", hello, verify.Metadata, func(n *narinfo.NarInfo) { n.Signatures[0].Data[0] ^= 1 }, verify.Untrusted),
		edited("a false signature beside a good one", hello, verify.Metadata, func(n *narinfo.NarInfo) {
			bad := n.Signatures[0]
			bad.Data[7] ^= 1
			n.Signatures = append(n.Signatures, bad)
		}, verify.SignatureInvalid),
		edited("content address of another", fixed, verify.Metadata, func(n *narinfo.NarInfo) { n.CA.Hash = narinfoHash("x") }, verify.ContentAddressInvalid),
		edited("another store directory", hello, verify.Listing, func(n *narinfo.NarInfo) { n.StoreDir = "/gnu/store" }, verify.NarInfoInvalid),
		bomb("a bomb", "zstd"),
		bomb("a bomb of gzip", "gzip"),
		mutant{"orphaned archive", func(t testing.TB, b blob.Bucket) { put(t, b, "nar/orphan.nar", []byte("x")) }, verify.Listing, []verify.Kind{verify.ArchiveOrphaned}, true, false},
		mutant{"orphaned archive with a false name", func(t testing.TB, b blob.Bucket) {
			put(t, b, "nar/"+narinfoHash("x").Nix32()+".nar", []byte("y"))
		}, verify.Files, []verify.Kind{verify.ArchiveName}, false, false},
	)
}

// bomb is an archive that decompresses to far more than its narinfo says, and
// has the FileHash and FileSize of its narinfo.
func bomb(name string, compression narinfo.Compression) mutant {
	return mutant{name, func(t testing.TB, b blob.Bucket) {
		info := infoOf(t, b, hello)
		var file bytes.Buffer
		w, err := codec.NewWriter(string(compression), &file, codec.WriterOptions{})
		require.NoError(t, err)
		_, err = w.Write(make([]byte, 16<<20))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		info.Compression, info.FileSize, info.FileHash = compression, int64(file.Len()), narinfoHash(file.String())
		info.URL = layout.ArchiveKey(info.FileHash, compression)
		put(t, b, info.URL, file.Bytes())
		text, err := info.MarshalText()
		require.NoError(t, err)
		put(t, b, infoKey(info), text)
	}, verify.Contents, []verify.Kind{verify.ArchiveNarSize, verify.ArchiveUnreadable}, false, false}
}

func TestMutantsAreFound(t *testing.T) {
	for _, name := range []string{"zstd", rich, "none"} {
		for _, m := range mutants() {
			if m.rich && name != rich {
				continue
			}
			t.Run(name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				c := namedCache(t, name)
				m.mutate(t, c.Bucket())
				opts := verify.Options{Depth: m.depth}
				if m.depth == verify.Metadata {
					opts.TrustedKeys = corpusKeys(t)
				}
				findings := check(t, c, opts)
				requireOneOf(t, findings, m.kinds)
				for _, f := range findings {
					require.True(t, f.Kind.Known(), f)
					require.LessOrEqual(t, f.Kind.Depth(), m.depth, f)
					require.NotEmpty(t, f.Kind.Remedy(), f)
				}
				if m.depth != verify.Contents {
					findings = check(t, c, verify.Options{Depth: verify.Contents})
				}
				requireAgreement(t, c, m, findings)
			})
		}
	}
}

// requireAgreement compares what CheckCache says of a mutant with what Check
// finds at the depth Contents without keys.
func requireAgreement(t *testing.T, c *store.Cache, m mutant, findings []verify.Finding) {
	t.Helper()
	_, judged := storetest.CheckCache(context.Background(), c.Bucket(), storetest.CheckOptions{})
	found := len(findings) > 0
	if judged != nil {
		require.True(t, found, "CheckCache says: %v", judged)
	}
	signed := slices.Contains(m.kinds, verify.Untrusted) || slices.Contains(m.kinds, verify.SignatureInvalid)
	if !m.spared && !signed {
		require.True(t, found)
	}
}

func requireOneOf(t *testing.T, findings []verify.Finding, kinds []verify.Kind) {
	t.Helper()
	for _, f := range findings {
		if slices.Contains(kinds, f.Kind) {
			return
		}
	}
	text, err := json.Marshal(findings)
	require.NoError(t, err)
	require.Fail(t, "not found", fmt.Sprintf("expected one of %v, got %s", kinds, text))
}
