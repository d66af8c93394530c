package narinfo_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

const (
	drvHash = "sha256:bd014a83ce0c667dd5882aac5f4ddb72699fb88414abf0f2db5e2e1ec3855451"
	oldKey  = "realisations/" + drvHash + "!out.doi"
	newKey  = "build-trace-v2/5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv/out.doi"
)

func drvOutput(t testing.TB, key string) narinfo.DrvOutput {
	t.Helper()
	id, err := narinfo.ParseRealisationKey(key)
	require.NoError(t, err)
	return id
}

// TestRealisationsAreNix reads and writes the realisations that Nix 2.8 wrote. A
// line of the files has a key and an object.
func TestRealisationsAreNix(t *testing.T) {
	for _, file := range []string{"realisations.txt", "realisations-signed.txt"} {
		for line := range strings.Lines(readFile(t, "testdata/"+file)) {
			key, object, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			t.Run(key, func(t *testing.T) {
				id := drvOutput(t, key)
				assert.Equal(t, key, id.Key())
				r, err := narinfo.ParseRealisation(id, []byte(object))
				require.NoError(t, err)
				assert.Equal(t, id, r.ID)

				out, err := r.MarshalObject()
				require.NoError(t, err)
				assert.Equal(t, object, string(out))

				var again narinfo.Realisation
				require.NoError(t, json.Unmarshal([]byte(object), &again))
				assert.Equal(t, *r, again)
			})
		}
	}
}

func TestRealisationSignaturesAreNix(t *testing.T) {
	lab, other := secret(t, "lab-cache-1"), secret(t, "other-2")
	withDependent := 0
	for line := range strings.Lines(readFile(t, "testdata/realisations-signed.txt")) {
		key, object, _ := strings.Cut(line, " ")
		r, err := narinfo.ParseRealisation(drvOutput(t, key), []byte(object))
		require.NoError(t, err)
		for _, keys := range []string{"lab-cache-1", "other-2"} {
			require.NoError(t, trusted(t, keys).VerifyRealisation(r))
		}
		signed := slices.Clone(r.Signatures)
		r.Signatures = nil
		require.ErrorIs(t, trusted(t, "other-2").VerifyRealisation(r), narinfo.ErrUntrusted)
		require.NoError(t, r.Sign(t.Context(), other, lab, lab))
		assert.Equal(t, signed, r.Signatures)
		withDependent += len(r.Dependent)

		r.OutPath = storePath(t, helloBase)
		err = trusted(t, "lab-cache-1").VerifyRealisation(r)
		require.ErrorContains(t, err, "realisation "+r.ID.String()+" is not signed by a trusted key")
	}
	assert.Equal(t, 1, withDependent)
}

// TestBuildTraceEntry follows the manual's "Build Trace Entry", version 3.
func TestBuildTraceEntry(t *testing.T) {
	lab := secret(t, "lab-cache-1")
	id := drvOutput(t, newKey)
	assert.Equal(t, newKey, id.Key())
	assert.Equal(t, "5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv^out", id.String())
	r := &narinfo.Realisation{ID: id, OutPath: storePath(t, helloBase)}

	fingerprint, err := r.Fingerprint()
	require.NoError(t, err)
	assert.Equal(t, `{"key":{"drvPath":"5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv","outputName":"out"},"value":{"outPath":"`+helloBase+`"}}`, fingerprint)

	object, err := r.MarshalObject()
	require.NoError(t, err)
	assert.Equal(t, `{"outPath":"`+helloBase+`","signatures":[]}`, string(object))

	require.NoError(t, r.Sign(t.Context(), lab))
	require.NoError(t, narinfo.TrustedKeys{lab.Public()}.VerifyRealisation(r))
	name, sig, _ := strings.Cut(r.Signatures[0].String(), ":")
	value := `{"outPath":"` + helloBase + `","signatures":[{"keyName":"` + name + `","sig":"` + sig + `"}]}`
	object, err = r.MarshalObject()
	require.NoError(t, err)
	assert.Equal(t, value, string(object))
	whole, err := json.Marshal(r)
	require.NoError(t, err)
	keyed := `{"key":{"drvPath":"5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv","outputName":"out"},"value":` + value + `}`
	assert.Equal(t, keyed, string(whole))
	whole, err = json.Marshal(*r)
	require.NoError(t, err)
	assert.Equal(t, keyed, string(whole), "by value")

	for name, text := range map[string]string{
		"value alone":                 value,
		"key and value":               keyed,
		"signature as text":           `{"outPath":"` + helloBase + `","signatures":["` + r.Signatures[0].String() + `"]}`,
		"odd signatures besides":      `{"outPath":"` + helloBase + `","signatures":["x",null,{"sig":"AAAA"},"a b:` + sig + `","` + r.Signatures[0].String() + `"]}`,
		"signature twice":             `{"outPath":"` + helloBase + `","signatures":["` + r.Signatures[0].String() + `",{"keyName":"` + name + `","sig":"` + sig + `"}]}`,
		"fields of other generations": `{"outPath":"` + helloBase + `","new":1,"signatures":["` + r.Signatures[0].String() + `"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := narinfo.ParseRealisation(id, []byte(text))
			require.NoError(t, err)
			assert.Equal(t, r, got)
		})
	}
}

func TestParseRealisationRefuses(t *testing.T) {
	old, new_ := drvOutput(t, oldKey), drvOutput(t, newKey)
	out := `"outPath":"` + helloBase + `"`
	for _, test := range []struct {
		name    string
		id      narinfo.DrvOutput
		text    string
		message string
	}{
		{"nothing", old, "", "unexpected end of JSON"},
		{"no id", old, `{` + out + `}`, "has no id"},
		{"no outPath", old, `{"id":"` + drvHash + `!out"}`, "outPath is missing"},
		{"outPath of null", new_, `{"outPath":null}`, "outPath is missing"},
		{"full outPath", new_, `{"outPath":"/nix/store/` + helloBase + `"}`, "not nix32"},
		{"id of another output", old, `{"id":"` + drvHash + `!dev",` + out + `}`, "the object is the realisation of " + drvHash + "!dev"},
		{"key of another derivation", new_, `{"key":{"drvPath":"dwrnx9k4q86d1l8c9pw7mv6rwc35l16g-wrapper-1.0.drv","outputName":"out"},"value":{` + out + `}}`, "the object is the realisation of dwrnx"},
		{"key without value", new_, `{"key":{},` + out + `}`, "key and value go together"},
		{"bad id", old, `{"id":"x",` + out + `}`, `derivation output "x"`},
		{"many signatures", new_, `{` + out + `,"signatures":[` + strings.Repeat(`"a:`+base64.StdEncoding.EncodeToString(make([]byte, 64))+`",`, 256) + `0]}`, "more than 256 signatures"},
		{"bad dependent", old, `{` + out + `,"dependentRealisations":{"x":"` + helloBase + `"}}`, "dependentRealisations: derivation output"},
		{"dependent with two paths", old, `{` + out + `,"dependentRealisations":{"` + drvHash + `!out":"` + helloBase + `","` + drvOutput(t, oldKey).DrvHash.String() + `!out":"` + helloBase + `-dev"}}`, "expected one path"},
		{"dependent without a path", old, `{` + out + `,"dependentRealisations":{"` + drvHash + `!out":""}}`, "has no hash or no path"},
		{"dependents in the second generation", new_, `{` + out + `,"dependentRealisations":{"` + drvHash + `!out":"` + helloBase + `"}}`, "do not go with the path"},
		{"no name for it", narinfo.DrvOutput{}, `{` + out + `}`, "neither hash nor path"},
		{"too large", old, strings.Repeat(" ", 4<<20+1), "at most 4194304 are read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := narinfo.ParseRealisation(test.id, []byte(test.text))
			require.ErrorContains(t, err, test.message)
			assert.Nil(t, r)
		})
	}
	var r narinfo.Realisation
	require.ErrorContains(t, json.Unmarshal([]byte(`{`+out+`}`), &r), "neither hash nor path", "JSON without a key says nothing")
}

func TestParseRealisationKeyRefuses(t *testing.T) {
	for _, key := range []string{
		"",
		".doi",
		"realisations/.doi",
		drvHash + "!out.doi",
		drvHash + "!out",
		"realisations/" + drvHash + "!out",
		"realisations/" + drvHash + ".doi",
		"realisations/" + drvHash + "!.doi",
		"realisations/" + drvHash + "!../x.doi",
		"realisations/" + strings.ToUpper(drvHash) + "!out.doi",
		"realisations/sha256:0bbzj8my3rlqwdaf82c4kgdslrl27n9cikcizh7iiblvfww681kg!out.doi",
		"realisations/5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv^out.doi",
		"build-trace-v2/5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv",
		"build-trace-v2/5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv/out",
		"build-trace-v2/5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv/a/b.doi",
		"build-trace-v2/" + helloBase + "/out.doi",
		"build-trace-v2/5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv^out.doi",
		"build-trace-v2/" + drvHash + "!out.doi",
	} {
		_, err := narinfo.ParseRealisationKey(key)
		assert.ErrorContains(t, err, "is not that of a realisation", key)
	}
}

func TestRealisationRefusesToBeWritten(t *testing.T) {
	old, new_ := drvOutput(t, oldKey), drvOutput(t, newKey)
	for name, r := range map[string]*narinfo.Realisation{
		"nothing":           {},
		"no path":           {ID: old},
		"both names":        {ID: narinfo.DrvOutput{DrvHash: old.DrvHash, DrvPath: new_.DrvPath, Output: "out"}, OutPath: storePath(t, helloBase)},
		"bad output":        {ID: narinfo.DrvOutput{DrvPath: new_.DrvPath, Output: "a/b"}, OutPath: storePath(t, helloBase)},
		"mixed generations": {ID: old, OutPath: storePath(t, helloBase), Dependent: map[narinfo.DrvOutput]storepath.Path{new_: storePath(t, helloBase)}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.MarshalObject()
			require.Error(t, err)
			_, err = json.Marshal(r)
			require.Error(t, err)
			require.Error(t, r.Sign(t.Context(), secret(t, "lab-cache-1")))
			err = trusted(t, "lab-cache-1").VerifyRealisation(r)
			require.Error(t, err)
			assert.NotErrorIs(t, err, narinfo.ErrUntrusted)
		})
	}
}

func TestRealisationRefusesSignaturesThatCannotBeRead(t *testing.T) {
	for name, sigs := range map[string][]narinfo.Signature{
		"more signatures than are read": manySignatures(257),
		"white space in the key's name": {{KeyName: "a b"}},
		"key's name that is not UTF-8":  {{KeyName: "a\xffb"}},
	} {
		for _, key := range []string{oldKey, newKey} {
			t.Run(name, func(t *testing.T) {
				r := &narinfo.Realisation{ID: drvOutput(t, key), OutPath: storePath(t, helloBase), Signatures: sigs}
				_, err := r.MarshalObject()
				require.ErrorContains(t, err, "realisation: ")
				_, err = json.Marshal(r)
				require.Error(t, err)
			})
		}
	}
}

func FuzzParseRealisation(f *testing.F) {
	for line := range strings.Lines(readFile(f, "testdata/realisations-signed.txt")) {
		key, object, _ := strings.Cut(line, " ")
		f.Add(key, []byte(object))
	}
	f.Add(newKey, []byte(`{"outPath":"`+helloBase+`","signatures":[]}`))
	f.Add(newKey, []byte(`{"key":{"drvPath":"5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv","outputName":"out"},"value":{"outPath":"`+helloBase+`"}}`))
	f.Fuzz(func(t *testing.T, key string, object []byte) {
		id, err := narinfo.ParseRealisationKey(key)
		if err != nil {
			return
		}
		require.Equal(t, key, id.Key())
		named, err := narinfo.ParseDrvOutput(id.String())
		require.NoError(t, err)
		require.Equal(t, id, named)

		r, err := narinfo.ParseRealisation(id, object)
		if err != nil {
			return
		}
		for _, marshal := range []func() ([]byte, error){r.MarshalObject, r.MarshalJSON} {
			text, err := marshal()
			require.NoError(t, err)
			again, err := narinfo.ParseRealisation(id, text)
			require.NoError(t, err)
			require.Equal(t, r.OutPath, again.OutPath)
			require.ElementsMatch(t, r.Signatures, again.Signatures)
			require.Equal(t, r.Dependent, again.Dependent)
		}
	})
}
