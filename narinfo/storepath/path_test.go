package storepath_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
)

const hashPart = "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6"

func TestParseBase(t *testing.T) {
	for _, name := range []string{
		"hello-1.0", "x", "-", "1", "a.drv", "A+b-c._d?e=f", "..a", ".a", "...", ".a-", "..a-", "...-",
		strings.Repeat("n", 211),
	} {
		t.Run(name, func(t *testing.T) {
			p, err := storepath.ParseBase(hashPart + "-" + name)
			require.NoError(t, err)
			assert.Equal(t, hashPart+"-"+name, p.String())
			assert.Equal(t, hashPart, p.HashPart())
			assert.Equal(t, name, p.Name())
		})
	}
}

func TestParseBaseRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, message string }{
		{"empty", "", "too short"},
		{"hash part alone", hashPart, "too short"},
		{"no name", hashPart + "-", "name is empty"},
		{"other separator", hashPart + "_hello", `'_' follows the hash part`},
		{"hash part with e", "e" + hashPart[1:] + "-hello", "not nix32"},
		{"hash part in capitals", strings.ToUpper(hashPart) + "-hello", "not nix32"},
		{"name .", hashPart + "-.", "relative directory"},
		{"name ..", hashPart + "-..", "relative directory"},
		{"name that begins .-", hashPart + "-.-a", "relative directory"},
		{"name that begins ..-", hashPart + "-..-a", "relative directory"},
		{"name too long", hashPart + "-" + strings.Repeat("n", 212), "212 bytes, at most 211"},
		{"slash", hashPart + "-hello/bin", `'/' at offset 5`},
		{"space", hashPart + "-he llo", `' ' at offset 2`},
		{"line end", hashPart + "-hello\n", `'\n' at offset 5`},
		{"carriage return", hashPart + "-hello\r", `'\r' at offset 5`},
		{"NUL", hashPart + "-\x00", `'\x00' at offset 0`},
		{"tilde", hashPart + "-hello~", `'~' at offset 5`},
		{"not ASCII", hashPart + "-hällo", "at offset 1"},
		{"full path", "/nix/store/" + hashPart + "-hello", "not nix32"},
		{"very long", strings.Repeat("0", 1<<20), "'0' follows"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := storepath.ParseBase(test.text)
			require.ErrorContains(t, err, test.message)
			assert.Zero(t, p)
			assert.Less(t, len(err.Error()), 500)
		})
	}
}

func TestValidateHashPart(t *testing.T) {
	require.NoError(t, storepath.ValidateHashPart(hashPart))
	require.ErrorContains(t, storepath.ValidateHashPart(hashPart[1:]), "31 characters, expected 32")
	require.ErrorContains(t, storepath.ValidateHashPart("u"+hashPart[1:]), "not nix32")
}

func TestPathZero(t *testing.T) {
	var p storepath.Path
	assert.True(t, p.IsZero())
	assert.Empty(t, p.String())
	assert.Empty(t, p.HashPart())
	assert.Empty(t, p.Name())
	assert.False(t, p.IsDerivation())
}

func TestIsDerivation(t *testing.T) {
	for name, want := range map[string]bool{
		"hello.drv": true, ".drv": true, "hello": false, "hello.drv.chroot": false, "hellodrv": false,
	} {
		assert.Equal(t, want, mustParse(t, hashPart+"-"+name).IsDerivation(), name)
	}
}

func TestCompareIsByBytes(t *testing.T) {
	a, b := mustParse(t, hashPart+"-Z"), mustParse(t, hashPart+"-a")
	assert.Negative(t, a.Compare(b))
	assert.Positive(t, b.Compare(a))
	assert.Zero(t, a.Compare(a))
}

func TestPathJSON(t *testing.T) {
	p := mustParse(t, hashPart+"-hello-1.0")
	type object struct {
		Path, None storepath.Path
		By         map[storepath.Path]int
	}
	in := object{Path: p, By: map[storepath.Path]int{p: 1}}
	text, err := json.Marshal(in)
	require.NoError(t, err)
	assert.JSONEq(t, `{"Path":"`+p.String()+`","None":"","By":{"`+p.String()+`":1}}`, string(text))
	var out object
	require.NoError(t, json.Unmarshal(text, &out))
	assert.Equal(t, in, out)
	require.Error(t, json.Unmarshal([]byte(`{"Path":"no"}`), &out))
	assert.Equal(t, p, out.Path, "unchanged by the failure")
}

func TestDir(t *testing.T) {
	p := mustParse(t, hashPart+"-hello-1.0")
	for _, dir := range []storepath.Dir{storepath.Default, "/s", "/home/me/.nix/store"} {
		full := dir.Join(p)
		assert.Equal(t, string(dir)+"/"+hashPart+"-hello-1.0", full)
		assert.Equal(t, full, string(dir.AppendJoin(nil, p)))

		parsed, err := dir.Parse(full)
		require.NoError(t, err)
		assert.Equal(t, p, parsed)

		for sub, want := range map[string]string{
			"": "", "/": "", "/bin/hello": "bin/hello", "/bin/": "bin", "/...": "...", "/.a/..b": ".a/..b",
		} {
			parsed, got, err := dir.Split(full + sub)
			require.NoError(t, err)
			assert.Equal(t, p, parsed)
			assert.Equal(t, want, got)
		}
	}
}

func TestDirRefuses(t *testing.T) {
	for _, test := range []struct {
		name, full string
		dir        storepath.Dir
		message    string
	}{
		{"other directory", "/other/store/" + hashPart + "-hello", storepath.Default, `not in the store directory "/nix/store"`},
		{"directory that begins the same", "/nix/storeX" + hashPart + "-hello", storepath.Default, "not in the store directory"},
		{"no slash between", "/nix/store" + hashPart + "-hello", storepath.Default, "not in the store directory"},
		{"base name", hashPart + "-hello", storepath.Default, "not in the store directory"},
		{"two slashes", "/nix/store//" + hashPart + "-hello", storepath.Default, "not nix32"},
		{"the directory itself", "/nix/store", storepath.Default, "not in the store directory"},
		{"the directory with a slash", "/nix/store/", storepath.Default, "too short"},
		{"empty", "", storepath.Default, "not in the store directory"},
		{"way up", "/nix/store/../" + hashPart + "-hello", storepath.Default, "not nix32"},
		{"no directory", "/" + hashPart + "-hello", "", `not in the store directory ""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.dir.Parse(test.full)
			require.ErrorContains(t, err, test.message)
			_, _, err = test.dir.Split(test.full)
			require.ErrorContains(t, err, "")
		})
	}
	_, err := storepath.Default.Parse("/nix/store/" + hashPart + "-hello/bin")
	require.Error(t, err, "a path inside of a store object")
}

func TestSplitRefuses(t *testing.T) {
	full := storepath.Default.Join(mustParse(t, hashPart+"-hello-1.0"))
	for sub, element := range map[string]string{
		"//": "", "//bin": "", "/bin//hello": "", "/bin//": "",
		"/.": ".", "/./bin": ".", "/bin/.": ".", "/bin/./": ".",
		"/..": "..", "/../": "..", "/../../etc/passwd": "..", "/bin/../..": "..",
	} {
		t.Run(sub, func(t *testing.T) {
			p, got, err := storepath.Default.Split(full + sub)
			require.ErrorContains(t, err, fmt.Sprintf("path %q: element %q after the store object, expected", full+sub, element))
			assert.Zero(t, p)
			assert.Empty(t, got)
		})
	}
}

func TestDirCheck(t *testing.T) {
	for dir, message := range map[storepath.Dir]string{
		"":                   "empty",
		"nix/store":          "not absolute",
		"/":                  "shortest form",
		"/nix/store/":        "shortest form",
		"/nix//store":        "shortest form",
		"/nix/../store":      "shortest form",
		"/nix/store\nURL: x": "control character",
	} {
		require.ErrorContains(t, dir.Validate(), message, string(dir))
	}
	require.NoError(t, storepath.Default.Validate())
	require.NoError(t, storepath.Dir("/gnu/store with space").Validate())
}

func FuzzParseBase(f *testing.F) {
	f.Add(hashPart + "-hello-1.0")
	f.Add(hashPart + "-..-")
	f.Add("/nix/store/" + hashPart + "-hello-1.0.drv")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := storepath.ParseBase(text)
		if err != nil {
			require.True(t, p.IsZero())
			return
		}
		require.Equal(t, text, p.String())
		require.Equal(t, text, p.HashPart()+"-"+p.Name())
		require.NoError(t, storepath.ValidateHashPart(p.HashPart()))
		require.NoError(t, storepath.ValidateName(p.Name()))
		again, sub, err := storepath.Default.Split(storepath.Default.Join(p) + "/a/b")
		require.NoError(t, err)
		require.Equal(t, p, again)
		require.Equal(t, "a/b", sub)
	})
}

func mustParse(t testing.TB, base string) storepath.Path {
	t.Helper()
	p, err := storepath.ParseBase(base)
	require.NoError(t, err)
	return p
}
