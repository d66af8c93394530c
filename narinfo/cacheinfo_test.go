package narinfo_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

func TestParseCacheInfo(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       narinfo.CacheInfo
		printed    string // where it is not the text
	}{
		{"empty", "", narinfo.CacheInfo{}, ""},
		{"as Nix 2.8 writes it", "StoreDir: /nix/store\n", narinfo.CacheInfo{StoreDir: storepath.Default}, ""},
		{"all fields", "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n",
			narinfo.CacheInfo{StoreDir: storepath.Default, WantMassQuery: new(true), Priority: new(30)}, ""},
		{"zero is not absent", "WantMassQuery: 0\nPriority: 0\n",
			narinfo.CacheInfo{WantMassQuery: new(false), Priority: new(0)}, ""},
		{"Priority with a tail", "Priority: 30abc\n", narinfo.CacheInfo{Priority: new(30)}, "Priority: 30\n"},
		{"one StoreDir twice", "StoreDir: /s\nStoreDir: /s\n", narinfo.CacheInfo{StoreDir: "/s"}, "StoreDir: /s\n"},
		{"negative priority", "Priority: -1\n", narinfo.CacheInfo{Priority: new(-1)}, ""},
		{"white space, and no last line end", "StoreDir:/nix/store  \r\n\tPriority:\t40 ",
			narinfo.CacheInfo{StoreDir: storepath.Default, Extra: []narinfo.Field{{Name: "\tPriority", Value: "40"}}},
			"StoreDir: /nix/store\n\tPriority: 40\n"},
		{"lines without a colon", "hello\n\nPriority: 1\n", narinfo.CacheInfo{Priority: new(1)}, "Priority: 1\n"},
		{"the last of two counts", "Priority: 1\nPriority: 2\n", narinfo.CacheInfo{Priority: new(2)}, "Priority: 2\n"},
		{"any order", "Priority: 1\nStoreDir: /s\n", narinfo.CacheInfo{StoreDir: "/s", Priority: new(1)}, "StoreDir: /s\nPriority: 1\n"},
		{"unknown fields in their places", "A: 1\nStoreDir: /nix/store\nB: 2\nC: \nPriority: 30\nD: 3\n",
			narinfo.CacheInfo{StoreDir: storepath.Default, Priority: new(30), Extra: []narinfo.Field{
				{"A", "1", "StoreDir"}, {"B", "2", "Priority"}, {"C", "", "Priority"}, {"D", "3", ""},
			}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := narinfo.ParseCacheInfo([]byte(test.text))
			require.NoError(t, err)
			assert.Equal(t, test.want, *c)
			out, err := c.MarshalText()
			require.NoError(t, err)
			want := test.printed
			if want == "" {
				want = test.text
			}
			assert.Equal(t, want, string(out))
		})
	}
}

func TestParseCacheInfoRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, message string }{
		{"Priority of letters", "StoreDir: /nix/store\nPriority: abc\n", `nix-cache-info: line 2: Priority: "abc" is not a number`},
		{"Priority of a sign", "Priority: -\n", `line 1: Priority: "-" is not a number`},
		{"Priority of 2^31", "Priority: 2147483648\n", "is not a number"},
		{"two StoreDirs", "StoreDir: /a\nStoreDir: /b\n", `line 2: StoreDir: expected /a as before, got "/b"`},
		{"empty Priority", "Priority:\n", "is not a number"},
		{"Priority beyond all bounds", "Priority: 99999999999999999999\n", "is not a number"},
		{"empty StoreDir", "StoreDir:\n", "line 1: StoreDir: store directory is empty"},
		{"StoreDir with a slash at the end", "StoreDir: /nix/store/\n", "line 1: StoreDir: store directory \"/nix/store/\" is not in its shortest form"},
		{"more unknown fields than the bound", strings.Repeat("X: y\n", 257), "line 257: X: more than 256 unknown fields"},
		{"more bytes than the bound", strings.Repeat("x\n", 1<<15+1), "65538 bytes, at most 65536 are read"},
		{"a web page", "<html>\n<body style=\"color: red\">\nStoreDir: no\n", "line 3: StoreDir"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := narinfo.ParseCacheInfo([]byte(test.text))
			require.ErrorContains(t, err, test.message)
			assert.Nil(t, c)
			var parseError *narinfo.ParseError
			assert.ErrorAs(t, err, &parseError)
		})
	}
}

func TestCacheInfoMarshalRefuses(t *testing.T) {
	extra := func(fields ...narinfo.Field) narinfo.CacheInfo { return narinfo.CacheInfo{Extra: fields} }
	for _, test := range []struct {
		name    string
		info    narinfo.CacheInfo
		message string
	}{
		{"relative StoreDir", narinfo.CacheInfo{StoreDir: "relative"}, "not absolute"},
		{"StoreDir of two lines", narinfo.CacheInfo{StoreDir: "/nix\nPriority: 1"}, "control character"},
		{"StoreDir that ends with a space", narinfo.CacheInfo{StoreDir: "/nix/store "}, `StoreDir: "/nix/store " begins or ends with white space`},
		{"StoreDir that ends with another space", narinfo.CacheInfo{StoreDir: "/nix/store\u00a0"}, "begins or ends with white space"},
		{"known field among the others", extra(narinfo.Field{Name: "Priority", Value: "1"}), `"Priority" has the name of a known field`},
		{"value of two lines", extra(narinfo.Field{Name: "a", Value: "b\nc"}), "has a colon or a line end"},
		{"value that begins with a space", extra(narinfo.Field{Name: "a", Value: " b"}), `a: " b" begins or ends with white space`},
		{"value that ends with a carriage return", extra(narinfo.Field{Name: "a", Value: "b\r"}), `a: "b\r" begins or ends with white space`},
		{"more unknown fields than are read", extra(make([]narinfo.Field, 257)...), "257 unknown fields, at most 256 are read"},
		{"more bytes than are read", extra(narinfo.Field{Name: "a", Value: strings.Repeat("b", 1<<16-3)}), "65537 bytes, at most 65536 are read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := test.info.AppendText([]byte("before"))
			require.ErrorContains(t, err, "nix-cache-info: ")
			require.ErrorContains(t, err, test.message)
			assert.Equal(t, "before", string(out))
		})
	}
}

// TestCacheInfoAtItsBounds appends to other text, which does not count.
func TestCacheInfoAtItsBounds(t *testing.T) {
	many := narinfo.CacheInfo{Extra: make([]narinfo.Field, 256)}
	large := narinfo.CacheInfo{Extra: []narinfo.Field{{Name: "a", Value: strings.Repeat("b", 1<<16-4)}}}
	for _, want := range []narinfo.CacheInfo{many, large} {
		out, err := want.AppendText([]byte("before"))
		require.NoError(t, err)
		got, err := narinfo.ParseCacheInfo(out[len("before"):])
		require.NoError(t, err)
		assert.Equal(t, want, *got)
	}
}

func FuzzParseCacheInfo(f *testing.F) {
	f.Add([]byte("StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n"))
	f.Add([]byte("A: 1\nStoreDir: /nix/store \n:\nB\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c narinfo.CacheInfo
		if c.UnmarshalText(text) != nil {
			require.Equal(t, narinfo.CacheInfo{}, c)
			return
		}
		out, err := c.MarshalText()
		if err != nil {
			// Printing adds the spaces after the colons, the last line end
			// and the 0 of an empty WantMassQuery.
			require.ErrorContains(t, err, "bytes, at most")
			require.Greater(t, len(text)+len(c.Extra)+3+1+1, 1<<16)
			return
		}
		again, err := narinfo.ParseCacheInfo(out)
		require.NoError(t, err)
		twice, err := again.MarshalText()
		require.NoError(t, err)
		require.Equal(t, string(out), string(twice))
		require.Equal(t, c.StoreDir, again.StoreDir)
		require.Equal(t, c.WantMassQuery, again.WantMassQuery)
		require.Equal(t, c.Priority, again.Priority)
		require.ElementsMatch(t, lines(c.Extra), lines(again.Extra))
	})
}

// lines returns the fields without their places.
func lines(extra []narinfo.Field) []narinfo.Field {
	extra = slices.Clone(extra)
	for i := range extra {
		extra[i].Before = ""
	}
	return extra
}
