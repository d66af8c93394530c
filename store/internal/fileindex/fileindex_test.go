package fileindex_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/fileindex"
)

func path(t testing.TB, first string) storepath.Path {
	p, err := storepath.ParseBase(first + strings.Repeat("0", 32-len(first)) + "-name")
	require.NoError(t, err)
	return p
}

func listing() *nar.Listing {
	return &nar.Listing{Root: &nar.Node{Type: nar.TypeDirectory, Entries: []*nar.Node{
		{Name: "bin", Type: nar.TypeDirectory, Entries: []*nar.Node{
			{Name: "a", Type: nar.TypeRegular, Executable: true, Size: 1 << 40},
			{Name: "ab", Type: nar.TypeSymlink, LinkTarget: "../lib/\xff"},
		}},
		{Name: "lib\xfe", Type: nar.TypeRegular},
	}}}
}

var entries = []fileindex.Entry{
	{Type: nar.TypeDirectory},
	{Name: "bin", Type: nar.TypeDirectory},
	{Name: "bin/a", Type: nar.TypeRegular, Executable: true, Size: 1 << 40},
	{Name: "bin/ab", Type: nar.TypeSymlink, LinkTarget: "../lib/\xff"},
	{Name: "lib\xfe", Type: nar.TypeRegular},
}

// index returns an index of paths with the given beginnings.
func index(t testing.TB, firsts ...string) []byte {
	var buf bytes.Buffer
	w, err := fileindex.NewWriter(&buf, storepath.Default)
	require.NoError(t, err)
	for _, first := range firsts {
		r, err := fileindex.NewRecord(path(t, first), listing())
		require.NoError(t, err)
		require.NoError(t, w.Add(r))
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// read reads an index to its end, and returns the number of its entries.
func read(r io.Reader) (n int, err error) {
	x, err := fileindex.NewReader(r)
	if err != nil {
		return 0, err
	}
	defer x.Close()
	for {
		r, err := x.Next()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		for _, err := range r.Entries() {
			if err != nil {
				return n, err
			}
			n++
		}
	}
}

func TestRoundTrip(t *testing.T) {
	x, err := fileindex.NewReader(bytes.NewReader(index(t, "1", "a", "z")))
	require.NoError(t, err)
	require.Equal(t, storepath.Default, x.StoreDir())
	for _, first := range []string{"1", "a", "z"} {
		r, err := x.Next()
		require.NoError(t, err)
		require.Equal(t, path(t, first), r.Path)
		var got []fileindex.Entry
		for e, err := range r.Entries() {
			require.NoError(t, err)
			got = append(got, e)
		}
		require.Equal(t, entries, got)
	}
	for range 2 {
		_, err = x.Next()
		require.Equal(t, io.EOF, err)
	}
	require.NoError(t, x.Close())
}

func TestWriterRefusesDisorder(t *testing.T) {
	w, err := fileindex.NewWriter(io.Discard, storepath.Default)
	require.NoError(t, err)
	require.NoError(t, w.Add(fileindex.Record{Path: path(t, "b")}))
	require.ErrorIs(t, w.Add(fileindex.Record{Path: path(t, "b")}), fileindex.ErrFormat)
	require.ErrorIs(t, w.Add(fileindex.Record{Path: path(t, "a")}), fileindex.ErrFormat)
	w.Abort()
}

func TestRecordBounds(t *testing.T) {
	long := &nar.Listing{Root: &nar.Node{Type: nar.TypeSymlink, LinkTarget: strings.Repeat("x", 4096)}}
	_, err := fileindex.NewRecord(path(t, "a"), long)
	require.ErrorContains(t, err, "at most 4095")
	node := &nar.Node{Name: "f", Type: nar.TypeRegular}
	for range 300 {
		node = &nar.Node{Name: strings.Repeat("d", 250), Type: nar.TypeDirectory, Entries: []*nar.Node{node}}
	}
	_, err = fileindex.NewRecord(path(t, "a"), &nar.Listing{Root: node})
	require.ErrorContains(t, err, "at most 65536")
}

// compress makes an index of what a hostile writer would put into one.
func compress(t testing.TB, parts ...any) []byte {
	var buf bytes.Buffer
	w, err := codec.NewWriter("zstd", &buf, codec.WriterOptions{})
	require.NoError(t, err)
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			_, err = io.WriteString(w, p)
		case int:
			_, err = w.Write(binary.AppendUvarint(nil, uint64(p)))
		}
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

const head = "nixs3 files 1\n/nix/store\n"

// hostile are indexes that no writer makes.
func hostile(t testing.TB) map[string][]byte {
	base := path(t, "a").String()
	one := func(entry ...any) []byte {
		size := 0
		for _, p := range entry {
			if s, ok := p.(string); ok {
				size += len(s)
			} else {
				size += len(binary.AppendUvarint(nil, uint64(p.(int))))
			}
		}
		parts := append([]any{head, len(base), base, size}, entry...)
		return compress(t, append(parts, 0, 1)...)
	}
	return map[string][]byte{
		"nothing":              {},
		"nothing compressed":   compress(t),
		"not compressed":       []byte(head + "\x00\x00"),
		"another format":       compress(t, "nixs3 files 2\n/nix/store\n", 0, 0),
		"no store directory":   compress(t, "nixs3 files 1\n\n", 0, 0),
		"an odd directory":     compress(t, "nixs3 files 1\nnix\n", 0, 0),
		"a long directory":     compress(t, "nixs3 files 1\n/"+strings.Repeat("x", 5000)+"\n", 0, 0),
		"no end":               compress(t, head),
		"a wrong number":       compress(t, head, 0, 1),
		"more after the end":   compress(t, head, 0, 0, "x"),
		"a long base name":     compress(t, head, 256, strings.Repeat("x", 256)),
		"not a base name":      compress(t, head, 3, "abc", 0, 0, 1),
		"a number that is big": compress(t, head, strings.Repeat("\xff", 9)+"\x02"),
		"a number without end": compress(t, head, strings.Repeat("\xff", 20)),
		"a huge record":        compress(t, head, len(base), base, fileindex.MaxRecord+1),
		"a record that ends":   compress(t, head, len(base), base, fileindex.MaxRecord, "x"),
		"twice the same path":  compress(t, head, len(base), base, 0, len(base), base, 0, 0, 2),
		"an unknown type":      one(9, 0, 0),
		"too much is shared":   one(3, 1, 0),
		"a long name":          one(3, 0, 64<<10+1),
		"a name that ends":     one(3, 0, 3, "a"),
		"an absolute name":     one(3, 0, 2, "/a"),
		"a NUL":                one(3, 0, 2, "a\x00"),
		"no size":              one(1, 0, 1, "a"),
		"a long target":        one(4, 0, 1, "a", 4096, strings.Repeat("x", 4096)),
		"no target":            one(4, 0, 1, "a"),
	}
}

func TestHostile(t *testing.T) {
	for name, data := range hostile(t) {
		_, err := read(bytes.NewReader(data))
		require.ErrorIs(t, err, fileindex.ErrFormat, name)
	}
	good := index(t, "1", "a")
	for n := range len(good) {
		if _, err := read(bytes.NewReader(good[:n])); err != nil {
			require.ErrorIs(t, err, fileindex.ErrFormat)
		} else {
			require.Greater(t, n, len(good)-100, "only the end of the compression may be missing")
		}
	}
}

// A source that fails is not a damaged index.
func TestSourceFails(t *testing.T) {
	good, failure := index(t, "1", "a"), errors.New("failure")
	for n := range len(good) {
		_, err := read(io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(failure)))
		require.ErrorIs(t, err, failure, n)
		require.NotErrorIs(t, err, fileindex.ErrFormat)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(index(f, "1", "a", "z"))
	f.Add(index(f))
	for _, data := range hostile(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := fileindex.NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		defer x.Close()
		var again bytes.Buffer
		w, err := fileindex.NewWriter(&again, x.StoreDir())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for {
			r, err := x.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
			for e, err := range r.Entries() {
				if err != nil {
					return
				}
				if n++; strings.HasPrefix(e.Name, "/") || len(e.Name) > 64<<10 {
					t.Fatalf("%q is not the name of a file", e.Name)
				}
			}
			if err := w.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := read(&again); err != nil || got != n {
			t.Fatalf("expected %d entries, got %d, %v", n, got, err)
		}
	})
}

func ExampleReader() {
	p, _ := storepath.ParseBase(strings.Repeat("0", 32) + "-hello")
	var buf bytes.Buffer
	w, _ := fileindex.NewWriter(&buf, storepath.Default)
	r, _ := fileindex.NewRecord(p, &nar.Listing{Root: &nar.Node{Type: nar.TypeRegular, Size: 5}})
	_ = w.Add(r)
	_ = w.Close()
	x, _ := fileindex.NewReader(&buf)
	r, _ = x.Next()
	for e := range r.Entries() {
		fmt.Println(r.Path.Name(), e.Type, e.Size)
	}
	// Output: hello regular 5
}
