package narinfo_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

var recordFiles = []string{"local-store", "cache-full-xz", "closure-size-env"}

var jsonFormats = []narinfo.JSONFormat{0, 1, 2, 3}

func records(t testing.TB, text string) []*narinfo.Record {
	t.Helper()
	list, err := narinfo.ParseRecords([]byte(text))
	require.NoError(t, err)
	return list
}

func TestRecordsAreNix(t *testing.T) {
	for _, name := range recordFiles {
		t.Run(name, func(t *testing.T) {
			text := strings.TrimSpace(readFile(t, "testdata/path-info/"+name+".json"))
			list := records(t, text)
			out, err := narinfo.AppendRecords(nil, 0, list...)
			require.NoError(t, err)
			assert.Equal(t, text, string(out), "byte by byte")
		})
	}
}

func TestRecordsAgreeWithNarInfos(t *testing.T) {
	byPath := map[storepath.Path]*narinfo.NarInfo{}
	for _, text := range corpus(t)["full-xz"] {
		n := parse(t, text)
		byPath[n.Path] = n
	}
	list := records(t, readFile(t, "testdata/path-info/cache-full-xz.json"))
	require.Len(t, list, len(byPath))
	for _, r := range list {
		n := byPath[r.NarInfo.Path]
		require.NotNil(t, n)
		r.NarInfo.Compression = n.Compression // which Nix 2.8 leaves out
		assert.True(t, n.Equal(&r.NarInfo), "%v", n.Path)
	}
}

func TestRecordsSurviveEveryFormat(t *testing.T) {
	for _, name := range recordFiles {
		want := records(t, readFile(t, "testdata/path-info/"+name+".json"))
		for _, format := range jsonFormats {
			t.Run(fmt.Sprint(name, format), func(t *testing.T) {
				text, err := narinfo.AppendRecords([]byte("before "), format, want...)
				require.NoError(t, err)
				body, ok := strings.CutPrefix(string(text), "before ")
				require.True(t, ok)
				assert.Equal(t, want, records(t, body))
			})
		}
	}
}

// TestRecordFormats shows one object in all formats, as Nix 2.36 prints it.
func TestRecordFormats(t *testing.T) {
	n := parse(t, fromCorpus(t, "284qavhf4n0k160prrhxm22hxkxxlsb8-ca-user"))
	r := &narinfo.Record{NarInfo: *n, RegistrationTime: 1795292747, Ultimate: true}
	missing := &narinfo.Record{}
	missing.NarInfo.StoreDir, missing.NarInfo.Path = storepath.Default, storePath(t, helloBase)

	const object = `"compression":"xz","deriver":"%[1]sjrxaibh5q9x8n7qjlabfw2rzl8z35hs6-ca-user.drv",` +
		`"downloadHash":"%[2]s","downloadSize":%[3]d,"narHash":"sha256-+noEMsn6Ptyse/GSYBNElC8IXbGKvz51N9927hndmPA=","narSize":336,` +
		`"references":["%[1]s29vjn7njjx5g3afbmmc9gf9spbzkadky-ca-drv"],"registrationTime":1795292747,"signatures":[%[4]s],` +
		`"storeDir":"/nix/store","ultimate":true,"url":"%[5]s","version":%[6]d}`
	sigText := n.Signatures[0].String()
	name, sig, _ := strings.Cut(sigText, ":")
	ca := `{"hash":"sha256-+noEMsn6Ptyse/GSYBNElC8IXbGKvz51N9927hndmPA=","method":"nar"}`
	wants := map[narinfo.JSONFormat]string{
		1: `{"/nix/store/284qavhf4n0k160prrhxm22hxkxxlsb8-ca-user":{"ca":"` + n.CA.String() + `",` +
			fmt.Sprintf(object, "/nix/store/", n.FileHash.SRI(), n.FileSize, `"`+sigText+`"`, n.URL, 1) +
			`,"/nix/store/` + helloBase + `":null}`,
		2: `{"info":{"284qavhf4n0k160prrhxm22hxkxxlsb8-ca-user":{"ca":` + ca + `,` +
			fmt.Sprintf(object, "", n.FileHash.SRI(), n.FileSize, `"`+sigText+`"`, n.URL, 2) +
			`,"` + helloBase + `":null},"storeDir":"/nix/store","version":2}`,
		3: `{"info":{"284qavhf4n0k160prrhxm22hxkxxlsb8-ca-user":{"ca":` + ca + `,` +
			fmt.Sprintf(object, "", n.FileHash.SRI(), n.FileSize, `{"keyName":"`+name+`","sig":"`+sig+`"}`, n.URL, 3) +
			`,"` + helloBase + `":null},"storeDir":"/nix/store","version":3}`,
	}
	for format, want := range wants {
		out, err := narinfo.AppendRecords(nil, format, r, missing)
		require.NoError(t, err)
		assert.Equal(t, want, string(out))
		assert.Equal(t, []*narinfo.Record{r, missing}, records(t, want))
	}

	out, err := narinfo.AppendRecords(nil, 0, missing)
	require.NoError(t, err)
	assert.Equal(t, `[{"path":"/nix/store/`+helloBase+`","valid":false}]`, string(out))
	assert.Equal(t, []*narinfo.Record{missing}, records(t, string(out)))
}

func TestNoRecords(t *testing.T) {
	for format, want := range map[narinfo.JSONFormat]string{
		0: `[]`, 1: `{}`,
		2: `{"info":{},"storeDir":"/nix/store","version":2}`,
	} {
		out, err := narinfo.AppendRecords(nil, format)
		require.NoError(t, err)
		assert.Equal(t, want, string(out))
		assert.Empty(t, records(t, want))
	}
}

func TestParseRecordsTakes(t *testing.T) {
	const entry = `"narHash":"sha256-RSvN6FkdFGyPPMIItkSXwrR97ZheS4o1h//GtgXW4uE=","narSize":1984,"references":[]`
	for name, text := range map[string]string{
		"array of Nix 2.8":               `[{"path":"/nix/store/` + helloBase + `",` + entry + `}]`,
		"object of Nix 2.19, no version": ` {"/nix/store/` + helloBase + `":{` + entry + `,"ca":null,"deriver":null,"registrationTime":null,"signatures":[]}}`,
		"format 2 with hashes as objects": `{"info":{"` + helloBase + `":{"narHash":{"algorithm":"sha256","format":"base64","hash":"RSvN6FkdFGyPPMIItkSXwrR97ZheS4o1h//GtgXW4uE="},` +
			`"narSize":1984,"references":[],"storeDir":"/nix/store","version":2}},"storeDir":"/nix/store","version":2}`,
		"fields that are not known": `[{"path":"/nix/store/` + helloBase + `","future":{"a":[1]},` + entry + `}]`,
		"deriver that is not known": `[{"path":"/nix/store/` + helloBase + `","deriver":"unknown-deriver",` + entry + `}]`,
	} {
		t.Run(name, func(t *testing.T) {
			list := records(t, text)
			require.Len(t, list, 1)
			n := list[0].NarInfo
			assert.Equal(t, storepath.Default, n.StoreDir)
			assert.Equal(t, helloBase, n.Path.String())
			assert.Equal(t, "sha256:1qg2sq2vdipzhwsqljsyk3npvd62jx2bc2627j7nq50xb7lcsas5", n.NarHash.String())
			assert.EqualValues(t, 1984, n.NarSize)
			assert.True(t, n.Deriver.IsZero())
		})
	}
}

func TestParseRecordsRefuses(t *testing.T) {
	const path = `"/nix/store/` + helloBase + `"`
	const hash = `"narHash":"sha256-RSvN6FkdFGyPPMIItkSXwrR97ZheS4o1h//GtgXW4uE="`
	for _, test := range []struct{ name, text, message string }{
		{"nothing", ``, "unexpected end of JSON"},
		{"null", `null`, "null is neither an array nor an object"},
		{"text", `"x"`, "cannot unmarshal"},
		{"cut off", `[{`, "unexpected EOF"},
		{"cut off after an entry", `[{"path":"/nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0","valid":false}`, "EOF"},
		{"two arrays", `[] []`, "something follows the array"},
		{"the first of many entries", `[{}` + strings.Repeat(",{}", 1<<20) + `]`, "path"},
		{"path missing", `[{` + hash + `}]`, `"" has no store directory`},
		{"base name without a directory", `{"` + helloBase + `":{` + hash + `}}`, "has no store directory"},
		{"no hash", `{` + path + `:{"narSize":1}}`, "narHash: expected a hash of sha256"},
		{"hash of another kind", `{` + path + `:{"narHash":"md5-dzXSHa26XD/etUXbPTKPGw=="}}`, "narHash: expected"},
		{"bad hash", `{` + path + `:{"narHash":"x"}}`, `hash "x" has no algorithm`},
		{"negative size", `{` + path + `:{` + hash + `,"narSize":-1}}`, "a size is -1"},
		{"size that is not whole", `{` + path + `:{` + hash + `,"narSize":1.5}}`, "narSize"},
		{"bad reference", `{` + path + `:{` + hash + `,"references":["x"]}}`, `references: store path "x"`},
		{"reference in another directory", `{` + path + `:{` + hash + `,"references":["/gnu/store/` + helloBase + `"]}}`, "references: path"},
		{"bad deriver", `{` + path + `:{` + hash + `,"deriver":"x"}}`, `deriver: store path "x"`},
		{"bad content address", `{` + path + `:{` + hash + `,"ca":"x"}}`, `content address "x"`},
		{"content address of unknown method", `{` + path + `:{` + hash + `,"ca":{"method":"x","hash":"sha256-RSvN6FkdFGyPPMIItkSXwrR97ZheS4o1h//GtgXW4uE="}}}`, `unknown content address method "x"`},
		{"content address without hash", `{` + path + `:{` + hash + `,"ca":{"method":"nar"}}}`, "has no hash"},
		{"newer version", `{` + path + `:{` + hash + `,"version":4}}`, "version is 4, at most 3"},
		{"newer version around", `{"info":{},"storeDir":"/nix/store","version":4}`, "version is 4, expected 2 or 3"},
		{"no version around", `{"info":{},"storeDir":"/nix/store"}`, "version is 0"},
		{"no directory around", `{"info":{},"version":2}`, "store directory is empty"},
		{"info that is not an object", `{"info":[],"storeDir":"/nix/store","version":2}`, "info: "},
		{"bad directory", `{` + path + `:{` + hash + `,"storeDir":"x"}}`, "not absolute"},
		{"deep nesting", strings.Repeat("[", 100_000), "path-info JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := narinfo.ParseRecords([]byte(test.text))
			require.ErrorContains(t, err, test.message)
			require.ErrorContains(t, err, "path-info JSON: ")
			assert.Nil(t, list)
		})
	}
}

func TestAppendRecordsRefuses(t *testing.T) {
	good := &narinfo.Record{NarInfo: *parse(t, minimal)}
	record := func(change func(r *narinfo.Record, n *narinfo.NarInfo)) *narinfo.Record {
		r := &narinfo.Record{NarInfo: *good.NarInfo.Clone()}
		r.NarInfo.Path = storePath(t, strings.Repeat("0", 32)+"-other")
		change(r, &r.NarInfo)
		return r
	}
	for _, test := range []struct {
		name    string
		change  func(r *narinfo.Record, n *narinfo.NarInfo)
		message string
	}{
		{"no path", func(r *narinfo.Record, n *narinfo.NarInfo) { n.Path = storepath.Path{} }, "a record has no path"},
		{"no directory", func(r *narinfo.Record, n *narinfo.NarInfo) { n.StoreDir = "" }, "store directory is empty"},
		{"directory that is not UTF-8", func(r *narinfo.Record, n *narinfo.NarInfo) { n.StoreDir = "/\xff" }, `StoreDir "/\xff" is not valid UTF-8`},
		{"hash of another kind", func(r *narinfo.Record, n *narinfo.NarInfo) { n.NarHash = nixhash.Sum(nixhash.MD5, nil) }, "NarHash is of md5, expected sha256"},
		{"no hash, but size", func(r *narinfo.Record, n *narinfo.NarInfo) { n.NarHash = nixhash.Hash{} }, "NarHash is missing"},
		{"no hash, but ultimate", func(r *narinfo.Record, n *narinfo.NarInfo) {
			*n = narinfo.NarInfo{PathInfo: narinfo.PathInfo{StoreDir: n.StoreDir, Path: n.Path}}
			r.Ultimate = true
		}, "NarHash is missing"},
		{"negative NarSize", func(r *narinfo.Record, n *narinfo.NarInfo) { n.NarSize = -1 }, "NarSize is -1, expected at least 0"},
		{"negative FileSize", func(r *narinfo.Record, n *narinfo.NarInfo) { n.FileSize = -2 }, "FileSize is -2"},
		{"negative ClosureSize", func(r *narinfo.Record, n *narinfo.NarInfo) { r.ClosureSize = -3 }, "ClosureSize is -3"},
		{"negative ClosureDownloadSize", func(r *narinfo.Record, n *narinfo.NarInfo) { r.ClosureDownloadSize = -4 }, "ClosureDownloadSize is -4"},
		{"zero reference", func(r *narinfo.Record, n *narinfo.NarInfo) { n.References = []storepath.Path{n.Path, {}} }, "reference 1 is the zero path"},
		{"CA without method", func(r *narinfo.Record, n *narinfo.NarInfo) { n.CA.Hash = n.NarHash }, "unknown content address method 0"},
		{"CA without hash", func(r *narinfo.Record, n *narinfo.NarInfo) { n.CA.Method = storepath.MethodNAR }, "content address has no hash"},
		{"signature without a name", func(r *narinfo.Record, n *narinfo.NarInfo) { n.Signatures = make([]narinfo.Signature, 1) }, "key name is empty"},
		{"more signatures than are read", func(r *narinfo.Record, n *narinfo.NarInfo) { n.Signatures = manySignatures(257) }, "257 signatures, at most 256"},
		{"URL that is not UTF-8", func(r *narinfo.Record, n *narinfo.NarInfo) { n.URL = "\xff" }, `URL "\xff" is not valid UTF-8`},
		{"Compression that is not UTF-8", func(r *narinfo.Record, n *narinfo.NarInfo) { n.Compression = "\xff" }, "is not valid UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, format := range jsonFormats {
				out, err := narinfo.AppendRecords([]byte("before"), format, good, record(test.change))
				require.ErrorContains(t, err, "path-info JSON: ")
				require.ErrorContains(t, err, test.message)
				assert.Equal(t, "before", string(out))
			}
		})
	}

	t.Run("another directory", func(t *testing.T) {
		other := record(func(r *narinfo.Record, n *narinfo.NarInfo) { n.StoreDir = "/other" })
		_, err := narinfo.AppendRecords(nil, 2, good, other)
		require.ErrorContains(t, err, `of the store directory "/other", another record of "/nix/store"`)
	})
	t.Run("unknown format", func(t *testing.T) {
		_, err := narinfo.AppendRecords(nil, 4, good)
		require.ErrorContains(t, err, "unknown format 4, expected at most 3")
	})
	t.Run("the same path twice", func(t *testing.T) {
		for _, format := range jsonFormats[1:] {
			_, err := narinfo.AppendRecords(nil, format, good, good)
			require.ErrorContains(t, err, "there are two records of ")
			require.ErrorContains(t, err, good.NarInfo.Path.String())
		}
		_, err := narinfo.AppendRecords(nil, 0, good, good)
		require.NoError(t, err, "an array has no keys")
	})
}

func manySignatures(n int) []narinfo.Signature {
	sigs := make([]narinfo.Signature, n)
	for i := range sigs {
		sigs[i].KeyName = fmt.Sprint("key-", i)
	}
	return sigs
}

func TestAppendRecordsSortsObjects(t *testing.T) {
	want := records(t, readFile(t, "testdata/path-info/local-store.json"))
	backwards := slices.Clone(want)
	slices.Reverse(backwards)
	given := slices.Clone(backwards)
	for _, format := range jsonFormats[1:] {
		sorted, err := narinfo.AppendRecords(nil, format, want...)
		require.NoError(t, err)
		out, err := narinfo.AppendRecords(nil, format, backwards...)
		require.NoError(t, err)
		assert.Equal(t, string(sorted), string(out))
		first, second := want[0].NarInfo.Path.String(), want[1].NarInfo.Path.String()
		assert.Less(t, strings.Index(string(out), first+`":{`), strings.Index(string(out), second+`":{`))
	}
	assert.Equal(t, given, backwards, "not sorted in place")

	out, err := narinfo.AppendRecords(nil, 0, backwards...)
	require.NoError(t, err)
	assert.Equal(t, backwards, records(t, string(out)), "the array stays as it is")
}

func TestSignaturesTwiceInARecord(t *testing.T) {
	sig := parse(t, fromCorpus(t, "284qavhf4n0k160prrhxm22hxkxxlsb8-ca-user")).Signatures[0]
	list := records(t, `[{"path":"/nix/store/`+helloBase+`","narHash":"sha256-RSvN6FkdFGyPPMIItkSXwrR97ZheS4o1h//GtgXW4uE=",`+
		`"signatures":["other:`+strings.Repeat("A", 86)+`=="],"signatures":["`+sig.String()+`"]}]`)
	assert.Equal(t, []narinfo.Signature{sig}, list[0].NarInfo.Signatures, "the last counts, as for every other field")
}

func FuzzParseRecords(f *testing.F) {
	list := records(f, readFile(f, "testdata/path-info/closure-size-env.json"))
	signed := &narinfo.Record{NarInfo: *parse(f, fromCorpus(f, "284qavhf4n0k160prrhxm22hxkxxlsb8-ca-user"))}
	for _, format := range jsonFormats {
		for _, list := range [][]*narinfo.Record{list, {signed}} {
			text, err := narinfo.AppendRecords(nil, format, list...)
			require.NoError(f, err)
			f.Add(text)
		}
	}
	f.Add([]byte(`{"info":{},"storeDir":"/nix/store","version":2}`))
	f.Add([]byte(`[{"path":"/nix/store/` + helloBase + `","valid":false}]`))
	f.Add([]byte(`[{"path":"/nix/store/` + helloBase + `","valid":false},{"path":"/nix/store/` + helloBase + `","valid":false}]`))
	f.Add([]byte(`[{"path":"/nix/store/` + helloBase + `","valid":false},{"path":"/gnu/store/` + helloBase + `","valid":false}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := narinfo.ParseRecords(text)
		if err != nil {
			return
		}
		byPath, dirs := map[string]*narinfo.Record{}, map[storepath.Dir]bool{}
		for _, r := range list {
			byPath[r.NarInfo.StoreDir.Join(r.NarInfo.Path)] = r
			dirs[r.NarInfo.StoreDir] = true
		}
		for _, format := range jsonFormats {
			out, err := narinfo.AppendRecords(nil, format, list...)
			if format >= 2 && len(dirs) > 1 {
				require.ErrorContains(t, err, "of the store directory")
				continue
			}
			if format != 0 && len(byPath) < len(list) {
				require.ErrorContains(t, err, "there are two records of")
				continue
			}
			require.NoError(t, err)
			require.True(t, json.Valid(out))
			again, err := narinfo.ParseRecords(out)
			require.NoError(t, err)
			require.Len(t, again, len(list))
			for i, r := range again {
				want := byPath[r.NarInfo.StoreDir.Join(r.NarInfo.Path)]
				if format == 0 {
					want = list[i]
					r.NarInfo.Compression = want.NarInfo.Compression
				}
				requireSameRecord(t, want, r)
			}
		}
	})
}

// requireSameRecord is [narinfo.NarInfo.Equal] for records.
func requireSameRecord(t *testing.T, want, got *narinfo.Record) {
	t.Helper()
	require.NotNil(t, want)
	require.True(t, want.NarInfo.Equal(&got.NarInfo), "%+v\n%+v", want.NarInfo, got.NarInfo)
	a, b := *want, *got
	a.NarInfo, b.NarInfo = narinfo.NarInfo{}, narinfo.NarInfo{}
	require.Equal(t, a, b)
}
