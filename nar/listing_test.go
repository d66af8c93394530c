package nar_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

func TestListingsAreThoseOfNix(t *testing.T) {
	files, err := filepath.Glob("testdata/listings/*.ls")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".ls")
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			data, err := os.ReadFile("testdata/listings/" + name + ".nar")
			require.NoError(t, err)

			pulled, err := nar.List(bytes.NewReader(data))
			require.NoError(t, err)
			w := nar.NewListingWriter()
			_, err = io.Copy(w, bytes.NewReader(data))
			require.NoError(t, err)
			require.NoError(t, w.Close())
			assert.Equal(t, pulled, w.Listing())

			got, err := json.Marshal(pulled)
			if name == "unicode" { // it has a name that is not UTF-8, which Nix 2.8 does not mind
				assert.ErrorIs(t, err, nar.ErrNotUTF8)
				var l nar.Listing
				assert.ErrorIs(t, l.UnmarshalJSON(want), nar.ErrNotUTF8)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got))

			var parsed nar.Listing
			require.NoError(t, json.Unmarshal(want, &parsed))
			assert.Equal(t, pulled, &parsed)
		})
	}
}

func TestListingJSON(t *testing.T) {
	control := "\x01\t\n\r\"\\/\x7f<>&\u2028é"
	data := archive(directory(
		entry(strings.ReplaceAll(control, "/", ""), symlink(control)),
		entry("a", directory()),
		entry("x", executable("")),
	))
	l, err := nar.List(strings.NewReader(data))
	require.NoError(t, err)
	// MarshalJSON itself; json.Marshal also escapes what HTML minds.
	got, err := l.MarshalJSON()
	require.NoError(t, err)
	assert.Equal(t, `{"version":1,"root":{"type":"directory","entries":{`+
		"\"\\u0001\\t\\n\\r\\\"\\\\\x7f<>&\u2028é\":{\"type\":\"symlink\",\"target\":\"\\u0001\\t\\n\\r\\\"\\\\/\x7f<>&\u2028é\"},"+
		`"a":{"type":"directory","entries":{}},`+
		`"x":{"type":"regular","size":0,"executable":true,"narOffset":640}}}}`, string(got))
	var back nar.Listing
	require.NoError(t, back.UnmarshalJSON(got))
	assert.Equal(t, l, &back)
}

func TestListingJSONNeedsUTF8(t *testing.T) {
	for name, node := range map[string]string{
		"name":   directory(entry("\xff", regular(""))),
		"target": symlink("\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := nar.List(strings.NewReader(archive(node)))
			require.NoError(t, err)
			_, err = json.Marshal(l)
			assert.ErrorIs(t, err, nar.ErrNotUTF8)
		})
	}
}

func TestListingCannotMarshalNonsense(t *testing.T) {
	loop := &nar.Node{Type: nar.TypeDirectory}
	loop.Entries = []*nar.Node{loop}
	for name, root := range map[string]*nar.Node{
		"no root": nil,
		"no type": {},
		"a loop":  loop,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := json.Marshal(&nar.Listing{Root: root})
			assert.Error(t, err)
		})
	}
}

func TestListingUnmarshal(t *testing.T) {
	file := &nar.Node{Name: "f", Type: nar.TypeRegular, Size: 3, ContentOffset: 96}
	dir := func(entries ...*nar.Node) *nar.Node { return &nar.Node{Type: nar.TypeDirectory, Entries: entries} }
	for name, tt := range map[string]struct {
		json string
		want *nar.Node
	}{
		"today's Nix":             {`{"root":{"entries":{"f":{"executable":false,"narOffset":96,"size":3,"type":"regular"}},"type":"directory"},"version":1}`, dir(file)},
		"spaces and unknown keys": {` { "version" : 1, "x": [1, {"y": null}], "root": {"type":"directory", "z":{}, "entries":{"f":{"type":"regular","size":3,"narOffset":96,"mtime":[[]]}}} } `, dir(file)},
		"entries in any order": {`{"version":1,"root":{"type":"directory","entries":{"g":{"type":"directory","entries":{}},"f":{"type":"regular","size":3,"narOffset":96}}}}`,
			dir(file, &nar.Node{Name: "g", Type: nar.TypeDirectory})},
		"no offset":  {`{"version":1,"root":{"type":"regular","size":0}}`, &nar.Node{Type: nar.TypeRegular}},
		"link":       {`{"version":1,"root":{"type":"symlink","target":"/t"}}`, &nar.Node{Type: nar.TypeSymlink, LinkTarget: "/t"}},
		"executable": {`{"version":1,"root":{"type":"regular","size":1,"executable":true,"narOffset":128}}`, &nar.Node{Type: nar.TypeRegular, Size: 1, Executable: true, ContentOffset: 128}},
	} {
		t.Run(name, func(t *testing.T) {
			var l nar.Listing
			require.NoError(t, json.Unmarshal([]byte(tt.json), &l))
			assert.Equal(t, tt.want, l.Root)
		})
	}
}

func TestListingUnmarshalRefuses(t *testing.T) {
	inDir := func(entries string) string {
		return `{"version":1,"root":{"type":"directory","entries":{` + entries + `}}}`
	}
	file := `{"type":"regular","size":1}`
	nested := func(levels int) string {
		return `{"version":1,"root":` + strings.Repeat(`{"type":"directory","entries":{"d":`, levels) +
			`{"type":"directory","entries":{}}` + strings.Repeat(`}}`, levels) + `}`
	}
	var l nar.Listing
	require.NoError(t, json.Unmarshal([]byte(nested(63)), &l))
	for name, tt := range map[string]struct{ json, reason string }{
		"nothing":               {``, "EOF"},
		"no object":             {`[]`, "expected {"},
		"null":                  {`null`, "expected {"},
		"no version":            {`{"root":` + file + `}`, `got ""`},
		"version 2":             {`{"version":2,"root":` + file + `}`, `got "2"`},
		"version as string":     {`{"version":"1","root":` + file + `}`, "expected a number"},
		"no root":               {`{"version":1}`, "no root"},
		"root is null":          {`{"version":1,"root":null}`, "expected {"},
		"truncated":             {`{"version":1,"root":{"type":"regular"`, "EOF"},
		"followed by more":      {`{"version":1,"root":` + file + `}{}`, "nothing after"},
		"unknown type":          {`{"version":1,"root":{"type":"fifo"}}`, "unknown type"},
		"no type":               {`{"version":1,"root":{"size":1}}`, "unknown type"},
		"negative size":         {`{"version":1,"root":{"type":"regular","size":-1}}`, "number of bytes"},
		"fractional size":       {`{"version":1,"root":{"type":"regular","size":1.5}}`, "number of bytes"},
		"size beyond int64":     {`{"version":1,"root":{"type":"regular","size":9223372036854775808}}`, "number of bytes"},
		"size as string":        {`{"version":1,"root":{"type":"regular","size":"1"}}`, "expected a number"},
		"executable as number":  {`{"version":1,"root":{"type":"regular","size":1,"executable":1}}`, "expected true or false"},
		"directory, no entries": {`{"version":1,"root":{"type":"directory"}}`, "entries are for directories"},
		"directory with size":   {`{"version":1,"root":{"type":"directory","entries":{},"size":1}}`, "regular files only"},
		"file with entries":     {`{"version":1,"root":{"type":"regular","entries":{}}}`, "entries are for directories"},
		"file with target":      {`{"version":1,"root":{"type":"regular","target":"t"}}`, "target is for links"},
		"link without target":   {`{"version":1,"root":{"type":"symlink"}}`, "target is for links"},
		"empty target":          {`{"version":1,"root":{"type":"symlink","target":""}}`, "empty link target"},
		"long target":           {`{"version":1,"root":{"type":"symlink","target":"` + strings.Repeat("t", 4096) + `"}}`, "4096 bytes"},
		"name ..":               {inDir(`"..":` + file), "reserved"},
		"empty name":            {inDir(`"":` + file), "empty name"},
		"slash in a name":       {inDir(`"a/b":` + file), "slash"},
		"NUL in a name":         {inDir(`"a\u0000":` + file), "NUL"},
		"long name":             {inDir(`"` + strings.Repeat("n", 256) + `":` + file), "256 bytes"},
		"duplicate name":        {inDir(`"a":` + file + `,"b":` + file + `,"a":` + file), "duplicate name"},
		"too deep":              {nested(64), "nested too deeply"},
		"not UTF-8":             {inDir("\"\xff\":" + file), "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			l := nar.Listing{}
			err := l.UnmarshalJSON([]byte(tt.json))
			assert.ErrorContains(t, err, tt.reason)
			assert.Nil(t, l.Root)
		})
	}
}

func TestListingLookupAndOrder(t *testing.T) {
	l, err := nar.List(strings.NewReader(sample))
	require.NoError(t, err)
	for _, path := range []string{"", "a", "big", "empty", "link", "small", "z", "z/last"} {
		n := l.Lookup(path)
		require.NotNil(t, n, path)
		assert.Equal(t, path[strings.LastIndexByte(path, '/')+1:], n.Name)
	}
	for _, path := range []string{"b", "/", "a/", "z/", "/z", "z/last/x", "link/x", ".", "z//last"} {
		assert.Nil(t, l.Lookup(path), path)
	}
	assert.Nil(t, (&nar.Listing{}).Lookup("x"))

	var walked, read []string
	for path, n := range l.All() {
		walked = append(walked, path)
		assert.Same(t, l.Lookup(path), n)
	}
	r := nar.NewReader(strings.NewReader(sample))
	for h, err := r.Next(); err != io.EOF; h, err = r.Next() {
		require.NoError(t, err)
		read = append(read, h.Path)
	}
	assert.Equal(t, read, walked)
	for range l.All() {
		break // stops
	}
	for range (&nar.Listing{}).All() {
		t.Error("an empty listing has nothing")
	}
}

func TestListingWriterIsBounded(t *testing.T) {
	var entries []string
	for i := range 100 {
		entries = append(entries, entry(fmt.Sprintf("%03d", i), regular("")))
	}
	write := func(data string, most int) (*nar.ListingWriter, error) {
		w := nar.NewListingWriter()
		w.MaxEntries = most
		_, err := io.WriteString(w, data)
		return w, errors.Join(err, w.Close())
	}
	data := archive(directory(entries...))
	w, err := write(data, 101)
	require.NoError(t, err)
	assert.Len(t, w.Listing().Root.Entries, 100)

	w, err = write(data, 100)
	assert.ErrorContains(t, err, "too many entries")
	assert.Nil(t, w.Listing())

	_, err = write(archive(directory(entry("a", symlink(strings.Repeat("t", 4000))))), 5)
	assert.ErrorContains(t, err, "too many entries", "long targets count as entries")
}

func TestListingWriterHasNoListingBeforeItsEnd(t *testing.T) {
	w := nar.NewListingWriter()
	_, err := io.WriteString(w, sample[:len(sample)-1])
	require.NoError(t, err)
	assert.Nil(t, w.Listing())
	assert.ErrorIs(t, w.Close(), io.ErrUnexpectedEOF)
	assert.Nil(t, w.Listing())
}
