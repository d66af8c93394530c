package nar_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

func TestWriterRefusesMisuse(t *testing.T) {
	dir := func(path string) *nar.Header { return &nar.Header{Path: path, Type: nar.TypeDirectory} }
	file := func(path string, size int64) *nar.Header {
		return &nar.Header{Path: path, Type: nar.TypeRegular, Size: size}
	}
	link := func(path, target string) *nar.Header {
		return &nar.Header{Path: path, Type: nar.TypeSymlink, LinkTarget: target}
	}
	deep := func(levels int) (list []any) {
		path := ""
		for range levels {
			list = append(list, dir(path))
			path = strings.TrimPrefix(path+"/d", "/")
		}
		return list
	}
	tests := []struct {
		name   string
		steps  []any // headers, contents as strings, or io.Readers for ReadFrom
		reason string
	}{
		{"nothing written", nil, "without a root"},
		{"first is not the root", []any{dir("a")}, "must come first"},
		{"two roots", []any{dir(""), dir("")}, "one root only"},
		{"root twice", []any{file("", 0), file("", 0)}, "one root only"},
		{"entry of a file", []any{file("", 0), file("a", 0)}, `"" is not a directory`},
		{"entry of a link", []any{dir(""), link("a", "t"), file("a/b", 0)}, `"a" is not a directory`},
		{"entry of a missing directory", []any{dir(""), file("a/b", 0)}, `"a" is not a directory`},
		{"entry of a directory that was left", []any{dir(""), dir("a"), dir("b"), file("a/b", 0)}, `"a" is not a directory`},
		{"absolute path", []any{dir(""), file("/a", 0)}, "is not a directory"},
		{"trailing slash", []any{dir(""), dir("a"), dir("a/")}, "empty name"},
		{"out of order", []any{dir(""), file("b", 0), file("a", 0)}, "does not sort after"},
		{"out of order over a directory", []any{dir(""), dir("b"), file("b/z", 0), file("a", 0)}, "does not sort after"},
		{"duplicate", []any{dir(""), file("a", 0), file("a", 0)}, "duplicate name"},
		{"name ..", []any{dir(""), file("..", 0)}, "reserved"},
		{"name .", []any{dir(""), file(".", 0)}, "reserved"},
		{"NUL in a name", []any{dir(""), file("a\x00", 0)}, "NUL"},
		{"long name", []any{dir(""), file(strings.Repeat("n", 256), 0)}, "256 bytes"},
		{"too deep", append(deep(64), file(strings.Repeat("d/", 63)+"d", 0)), "nested too deeply"},
		{"empty target", []any{link("", "")}, "empty link target"},
		{"NUL in a target", []any{link("", "a\x00")}, "NUL"},
		{"long target", []any{link("", strings.Repeat("t", 4096))}, "4096 bytes"},
		{"no type", []any{&nar.Header{}}, "unknown type"},
		{"unknown type", []any{&nar.Header{Type: 9}}, "unknown type Type(9)"},
		{"negative size", []any{file("", -1)}, "negative size"},
		{"directory with a size", []any{&nar.Header{Type: nar.TypeDirectory, Size: 4096}}, "neither a size nor an x bit"},
		{"executable link", []any{&nar.Header{Type: nar.TypeSymlink, LinkTarget: "t", Executable: true}}, "neither a size nor an x bit"},
		{"file with a target", []any{&nar.Header{Type: nar.TypeRegular, LinkTarget: "t"}}, "no link target"},
		{"contents missing at Close", []any{dir(""), dir("d"), file("d/f", 10), "12345"}, `"d/f": 5 of 10 bytes of contents are missing`},
		{"contents missing at the next header", []any{dir(""), file("a", 1), file("b", 1)}, `"a": 1 of 1 bytes of contents are missing`},
		{"too much at once", []any{file("", 3), "1234"}, "more than 3 bytes"},
		{"too much in the end", []any{file("", 3), "12", "34"}, "more than 3 bytes"},
		{"contents of a directory", []any{dir(""), "x"}, "not a regular file"},
		{"contents before the root", []any{"x"}, "not a regular file"},
		{"ReadFrom too much", []any{file("", 3), strings.NewReader("1234")}, "more than 3 bytes"},
		{"ReadFrom too little", []any{file("", 3), strings.NewReader("12")}, "1 of 3 bytes of contents are missing"},
		{"ReadFrom for a directory", []any{dir(""), strings.NewReader("1")}, "not a regular file"},
		{"ReadFrom fails", []any{file("", 3), iotest.ErrReader(os.ErrPermission)}, "permission denied"},
		{"ReadFrom lies", []any{file("", 3), liar{}}, "impossible count"},
		{"ReadFrom goes nowhere", []any{file("", 3), idle{}}, "multiple Read calls"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := nar.NewWriter(io.Discard)
			var err error
			for _, s := range tt.steps {
				require.NoError(t, err, "only the last step may fail")
				switch s := s.(type) {
				case *nar.Header:
					err = w.WriteHeader(s)
				case string:
					_, err = io.WriteString(plainWriter{w}, s)
				case io.Reader:
					_, err = w.ReadFrom(s)
				}
			}
			cerr := w.Close()
			if err != nil {
				assert.Equal(t, err, cerr, "an error stays")
			}
			require.Error(t, cerr)
			assert.Contains(t, cerr.Error(), tt.reason)
			assert.Equal(t, cerr, w.WriteHeader(dir("")))
			_, err = w.Write(nil)
			assert.Equal(t, cerr, err)
			_, err = w.ReadFrom(strings.NewReader(""))
			assert.Equal(t, cerr, err)
		})
	}
}

type plainWriter struct{ io.Writer }

func TestWriterReportsErrorsBelow(t *testing.T) {
	for _, fail := range []int{0, 100, 300_000, 500_000} {
		err := rewrite(strings.NewReader(sample), &failingWriter{left: fail, err: os.ErrClosed})
		assert.ErrorIs(t, err, os.ErrClosed, "after %d bytes", fail)
		err = rewrite(strings.NewReader(sample), &failingWriter{left: fail})
		assert.ErrorIs(t, err, io.ErrShortWrite, "after %d bytes", fail)
	}
}

type failingWriter struct {
	left int
	err  error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	n := min(w.left, len(p))
	w.left -= n
	if n < len(p) {
		return n, w.err
	}
	return n, nil
}

func TestWriterAfterClose(t *testing.T) {
	w := nar.NewWriter(io.Discard)
	require.NoError(t, w.WriteHeader(&nar.Header{Type: nar.TypeRegular}))
	require.NoError(t, w.Close())
	assert.NoError(t, w.Close(), "closing again is harmless")
	assert.Error(t, w.WriteHeader(&nar.Header{Path: "a", Type: nar.TypeRegular}))
	_, err := w.Write([]byte("x"))
	assert.Error(t, err)
}

func TestWriterCopiesFilesToFiles(t *testing.T) {
	contents := bytes.Repeat([]byte("contents "), 100_000)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "in"), contents, 0o600))
	in, err := os.Open(filepath.Join(dir, "in"))
	require.NoError(t, err)
	defer in.Close()
	for name, size := range map[string]int{"exact": len(contents), "short": len(contents) + 1, "long": len(contents) - 1} {
		t.Run(name, func(t *testing.T) {
			_, err := in.Seek(0, io.SeekStart)
			require.NoError(t, err)
			out, err := os.Create(filepath.Join(dir, "out"))
			require.NoError(t, err)
			defer out.Close()
			w := nar.NewWriter(out)
			require.NoError(t, w.WriteHeader(&nar.Header{Type: nar.TypeRegular, Size: int64(size)}))
			_, err = io.Copy(w, in)
			if name != "exact" {
				assert.Error(t, errors.Join(err, w.Close()))
				return
			}
			require.NoError(t, err)
			require.NoError(t, w.Close())
			got, err := os.ReadFile(out.Name())
			require.NoError(t, err)
			assert.Equal(t, archive(regular(string(contents))), string(got))
		})
	}
}

func TestWriterTakesASourceThatGivesErrorsWithData(t *testing.T) {
	var out bytes.Buffer
	w := nar.NewWriter(&out)
	require.NoError(t, w.WriteHeader(&nar.Header{Type: nar.TypeRegular, Size: 3}))
	_, err := w.ReadFrom(iotest.DataErrReader(strings.NewReader("123")))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	assert.Equal(t, archive(regular("123")), out.String())
}
