package nar_test

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

func TestListingValidateAcceptsWhatIsTrue(t *testing.T) {
	nars := goldenNARs(t)
	nars["sample"], nars["linked"] = []byte(sample), []byte(linked)
	for name, data := range nars {
		t.Run(name, func(t *testing.T) {
			l, err := nar.List(bytes.NewReader(data))
			require.NoError(t, err)
			size := int64(len(data))
			require.NoError(t, l.Validate(size))
			for _, other := range []int64{-1, 0, size - 8, size - 1, size + 1, size + 8, math.MaxInt64} {
				assert.Error(t, l.Validate(other), "%d", other)
			}
		})
	}
}

func TestListingValidateRefuses(t *testing.T) {
	tree := archive(directory(
		entry("a", directory(entry("f", regular("12345678")))),
		entry("g", executable("1234")),
		entry("l", symlink("t")),
	))
	list := func(t *testing.T) (l *nar.Listing, f, g *nar.Node) {
		l, err := nar.List(strings.NewReader(tree))
		require.NoError(t, err)
		return l, l.Lookup("a/f"), l.Lookup("g")
	}
	for name, change := range map[string]func(l *nar.Listing, f, g *nar.Node){
		"offset too small":      func(_ *nar.Listing, f, _ *nar.Node) { f.ContentOffset-- },
		"offset too large":      func(_ *nar.Listing, f, _ *nar.Node) { f.ContentOffset += 8 },
		"offset negative":       func(_ *nar.Listing, f, _ *nar.Node) { f.ContentOffset = -f.ContentOffset },
		"offset missing":        func(_ *nar.Listing, f, _ *nar.Node) { f.ContentOffset = 0 },
		"offset huge":           func(_ *nar.Listing, f, _ *nar.Node) { f.ContentOffset = math.MaxInt64 },
		"offset beyond the NAR": func(_ *nar.Listing, _, g *nar.Node) { g.ContentOffset = int64(len(tree)) },
		"offsets the same":      func(_ *nar.Listing, f, g *nar.Node) { g.ContentOffset = f.ContentOffset },
		"offsets exchanged": func(_ *nar.Listing, f, g *nar.Node) {
			f.ContentOffset, g.ContentOffset = g.ContentOffset, f.ContentOffset
		},
		"size reaches the next": func(_ *nar.Listing, f, g *nar.Node) { f.Size += g.ContentOffset - f.ContentOffset },
		"size negative":         func(_ *nar.Listing, f, _ *nar.Node) { f.Size = -8 },
		"size huge":             func(_ *nar.Listing, f, _ *nar.Node) { f.Size = math.MaxInt64 },
		"size overflows":        func(_ *nar.Listing, f, _ *nar.Node) { f.Size = math.MaxInt64 - f.ContentOffset },
		"last size too large":   func(_ *nar.Listing, _, g *nar.Node) { g.Size += 8 },
		"no kind":               func(_ *nar.Listing, f, _ *nar.Node) { f.Type = 0 },
		"directory with a size": func(l *nar.Listing, _, _ *nar.Node) { l.Root.Size = 8 },
		"link without a target": func(l *nar.Listing, _, _ *nar.Node) { l.Lookup("l").LinkTarget = "" },
		"names not in order":    func(l *nar.Listing, _, _ *nar.Node) { l.Root.Entries[1].Name = "A" },
		"a name twice":          func(l *nar.Listing, _, _ *nar.Node) { l.Root.Entries[1].Name = "a" },
		"a name with a slash":   func(_ *nar.Listing, f, _ *nar.Node) { f.Name = "/" },
		"an entry left out":     func(l *nar.Listing, _, _ *nar.Node) { l.Root.Entries = l.Root.Entries[:2] },
		"an entry in a circle": func(l *nar.Listing, _, _ *nar.Node) {
			l.Root.Entries = append(l.Root.Entries[:0:0], l.Root)
			l.Root.Name = "x"
		},
		"no root":                func(l *nar.Listing, _, _ *nar.Node) { l.Root = nil },
		"the executable bit off": func(_ *nar.Listing, _, g *nar.Node) { g.Executable = false },
	} {
		t.Run(name, func(t *testing.T) {
			l, nf, ng := list(t)
			require.NoError(t, l.Validate(int64(len(tree))))
			change(l, nf, ng)
			assert.Error(t, l.Validate(int64(len(tree))))
		})
	}
}

// A hostile listing takes memory in proportion to its bytes, whatever they are.
func TestListingUnmarshalTakesModestMemory(t *testing.T) {
	const n = 20_000
	root := func(entries string) string {
		return `{"version":1,"root":{"type":"directory","entries":{` + entries + `}}}`
	}
	var flat, dirs strings.Builder
	for i := range n {
		if i > 0 {
			flat.WriteByte(',')
			dirs.WriteByte(',')
		}
		fmt.Fprintf(&flat, `"%x":{"type":"regular"}`, i)
		fmt.Fprintf(&dirs, `"%x":{"type":"directory","entries":{}}`, i)
	}
	unknown := func(value string) string { return `{"version":1,"root":{"type":"regular","x":` + value + `}}` }
	for name, tt := range map[string]struct {
		data string
		ok   bool
	}{
		"many small entries":      {root(flat.String()), true},
		"many directories":        {root(dirs.String()), true},
		"a long unknown string":   {unknown(`"` + strings.Repeat("x", 1<<20) + `"`), true},
		"a long unknown number":   {unknown(strings.Repeat("1", 1<<20)), true},
		"many unknown values":     {unknown("[" + strings.Repeat("1,", 1<<19) + "1]"), true},
		"deep unknown values":     {unknown(strings.Repeat("[", 1<<20)), false},
		"deep unknown objects":    {unknown(strings.Repeat(`{"a":`, 1<<18)), false},
		"deep directories":        {root(strings.Repeat(`"d":{"type":"directory","entries":{`, 1<<15)), false},
		"a long name":             {root(`"` + strings.Repeat("x", 1<<20) + `":{"type":"regular"}`), false},
		"a string without end":    {unknown(`"` + strings.Repeat("x", 1<<20)), false},
		"blanks":                  {strings.Repeat(" ", 1<<20), false},
		"one key over and over":   {`{"version":1,` + strings.Repeat(`"root":{"type":"regular"},`, n) + `"x":1}`, true},
		"a directory given twice": {root(flat.String()[:100]), false},
	} {
		t.Run(name, func(t *testing.T) {
			var l nar.Listing
			data := []byte(tt.data)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			err := l.UnmarshalJSON(data)
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			runtime.GC()
			runtime.ReadMemStats(&after)
			assert.Equal(t, tt.ok, err == nil, "%v", err)
			kept := int64(after.HeapAlloc) - int64(before.HeapAlloc)
			size := int64(len(data))
			assert.LessOrEqual(t, kept, 12*size+1<<16, "kept")
			assert.LessOrEqual(t, allocated, uint64(garbage*size+1<<16), "allocated, garbage included")
			runtime.KeepAlive(data)
			runtime.KeepAlive(l)
		})
	}
}

// garbage is how many bytes parsing may allocate for each byte of a listing.
var garbage int64 = 64
