package nar_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
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

// sample has a file of every size class between what else there is.
var sample = archive(directory(
	entry("a", directory()),
	entry("big", regular(strings.Repeat("big file. ", 50_000))),
	entry("empty", executable("")),
	entry("link", symlink("big")),
	entry("small", regular("small file")),
	entry("z", directory(entry("last", executable(strings.Repeat("x", 9000))))),
))

// sources are kinds of readers that NewReader treats differently.
var sources = []struct {
	name string
	open func(t *testing.T, data string) io.Reader
}{
	{"memory", func(t *testing.T, data string) io.Reader { return strings.NewReader(data) }},
	{"plain", func(t *testing.T, data string) io.Reader { return plain{strings.NewReader(data)} }},
	{"bytes.Buffer", func(t *testing.T, data string) io.Reader { return bytes.NewBufferString(data) }},
	{"bufio", func(t *testing.T, data string) io.Reader { return bufio.NewReader(strings.NewReader(data)) }},
	{"one byte", func(t *testing.T, data string) io.Reader { return iotest.OneByteReader(strings.NewReader(data)) }},
	{"half", func(t *testing.T, data string) io.Reader { return iotest.HalfReader(strings.NewReader(data)) }},
	{"data with EOF", func(t *testing.T, data string) io.Reader { return iotest.DataErrReader(strings.NewReader(data)) }},
	{"file", func(t *testing.T, data string) io.Reader {
		path := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(path, []byte(data), 0o600))
		f, err := os.Open(path)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}},
	{"pipe", func(t *testing.T, data string) io.Reader {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		t.Cleanup(func() { r.Close() })
		go func() {
			io.WriteString(w, data)
			w.Close()
		}()
		return r
	}},
}

func TestReaderGivesHeadersAndContents(t *testing.T) {
	want := []nar.Header{
		{Path: "", Type: nar.TypeDirectory},
		{Path: "a", Type: nar.TypeDirectory},
		{Path: "big", Type: nar.TypeRegular, Size: 500_000, ContentOffset: 400},
		{Path: "empty", Type: nar.TypeRegular, Executable: true, ContentOffset: 500_616},
		{Path: "link", Type: nar.TypeSymlink, LinkTarget: "big"},
		{Path: "small", Type: nar.TypeRegular, Size: 10, ContentOffset: 500_992},
		{Path: "z", Type: nar.TypeDirectory},
		{Path: "z/last", Type: nar.TypeRegular, Executable: true, Size: 9000, ContentOffset: 501_360},
	}
	reads := []struct {
		name string
		read func(r *nar.Reader) ([]byte, error)
	}{
		{"ReadAll", func(r *nar.Reader) ([]byte, error) { return io.ReadAll(plain{r}) }},
		{"small reads", func(r *nar.Reader) ([]byte, error) {
			var b bytes.Buffer
			_, err := io.CopyBuffer(&b, plain{r}, make([]byte, 100))
			return b.Bytes(), err
		}},
		{"large reads", func(r *nar.Reader) ([]byte, error) {
			b := make([]byte, 1<<20)
			n, err := io.ReadFull(r, b)
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = nil
			}
			return b[:n], err
		}},
		{"WriteTo memory", func(r *nar.Reader) ([]byte, error) {
			var b bytes.Buffer
			n, err := r.WriteTo(&b)
			if n != int64(b.Len()) {
				return nil, errors.New("wrong count")
			}
			return b.Bytes(), err
		}},
		{"WriteTo file", func(r *nar.Reader) ([]byte, error) {
			f, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				return nil, err
			}
			defer f.Close()
			if _, err := r.WriteTo(f); err != nil {
				return nil, err
			}
			return os.ReadFile(f.Name())
		}},
		{"a byte, then WriteTo", func(r *nar.Reader) ([]byte, error) {
			var b bytes.Buffer
			if _, err := io.CopyN(&b, r, 1); err == io.EOF {
				return nil, nil
			}
			_, err := r.WriteTo(&b)
			return b.Bytes(), err
		}},
	}
	for _, src := range sources {
		for _, how := range reads {
			t.Run(src.name+"/"+how.name, func(t *testing.T) {
				source := src.open(t, sample+"behind")
				r := nar.NewReader(source)
				for _, w := range want {
					h, err := r.Next()
					require.NoError(t, err)
					require.Equal(t, w, *h)
					contents, err := how.read(r)
					require.NoError(t, err)
					require.Equal(t, sample[w.ContentOffset:][:w.Size], string(contents))
					n, err := r.Read(make([]byte, 1))
					require.Zero(t, n)
					require.Equal(t, io.EOF, err)
				}
				for range 2 {
					_, err := r.Next()
					require.Equal(t, io.EOF, err)
				}
				rest, err := io.ReadAll(source)
				require.NoError(t, err)
				assert.Equal(t, "behind", string(rest), "nothing after the NAR is read")
			})
		}
	}
}

func TestReaderPassesOverWhatIsNotRead(t *testing.T) {
	for _, src := range sources {
		t.Run(src.name, func(t *testing.T) {
			source := src.open(t, sample+"behind")
			r := nar.NewReader(source)
			for i := 0; ; i++ {
				h, err := r.Next()
				if err == io.EOF {
					break
				}
				require.NoError(t, err)
				if i%2 == 1 && h.Size > 0 { // some of the file
					_, err := io.CopyN(io.Discard, r, h.Size/2+1)
					require.NoError(t, err)
				}
			}
			rest, err := io.ReadAll(source)
			require.NoError(t, err)
			assert.Equal(t, "behind", string(rest))
		})
	}
}

func TestReaderSeeksOverContents(t *testing.T) {
	src := &countingSeeker{Reader: strings.NewReader(sample)}
	require.NoError(t, readAll(nar.NewReader(src), false))
	assert.Less(t, src.read, 10_000, "most of the NAR is contents")
}

type countingSeeker struct {
	*strings.Reader
	read int
}

func (c *countingSeeker) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

func TestReaderBeforeTheFirstNext(t *testing.T) {
	r := nar.NewReader(strings.NewReader(sample))
	_, err := r.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	n, err := r.WriteTo(io.Discard)
	assert.NoError(t, err)
	assert.Zero(t, n)
}

func TestReaderRepeatsItsError(t *testing.T) {
	assert.ErrorContains(t, readAll(nar.NewReader(liar{}), true), "impossible count")
	tests := []struct {
		name   string
		source io.Reader
		target error
	}{
		{"truncated", strings.NewReader(sample[:1000]), io.ErrUnexpectedEOF},
		{"source fails", io.MultiReader(strings.NewReader(sample[:1000]), iotest.ErrReader(os.ErrDeadlineExceeded)), os.ErrDeadlineExceeded},
		{"source fails at the end", &lateError{strings.NewReader(sample), os.ErrPermission}, os.ErrPermission},
		{"source gives nothing", io.MultiReader(strings.NewReader(sample[:1000]), idle{}), io.ErrNoProgress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := nar.NewReader(tt.source)
			first := readAll(r, true)
			require.ErrorIs(t, first, tt.target)
			_, err := r.Next()
			assert.Equal(t, first, err, "Next")
			_, err = r.Read(make([]byte, 1))
			assert.Equal(t, first, err, "Read")
			_, err = r.WriteTo(io.Discard)
			assert.Equal(t, first, err, "WriteTo")
		})
	}
}

// lateError returns an error together with its last bytes.
type lateError struct {
	r   *strings.Reader
	err error
}

func (l *lateError) Read(p []byte) (int, error) {
	n, _ := l.r.Read(p)
	if l.r.Len() == 0 {
		return n, l.err
	}
	return n, nil
}

// liar claims to have read more than it could.
type liar struct{}

func (liar) Read(p []byte) (int, error) { return len(p) + 1, nil }

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestReaderGoesOnBehindAWriteError(t *testing.T) {
	for _, src := range sources {
		t.Run(src.name, func(t *testing.T) {
			r := nar.NewReader(src.open(t, sample))
			for {
				h, err := r.Next()
				if err == io.EOF {
					return
				}
				require.NoError(t, err)
				if h.Size > 0 {
					_, err = r.WriteTo(&limitedWriter{left: 5})
					require.ErrorIs(t, err, io.ErrShortWrite)
				}
			}
		})
	}
}

// limitedWriter takes some bytes and then no more, without a word.
type limitedWriter struct{ left int }

func (w *limitedWriter) Write(p []byte) (int, error) {
	n := min(w.left, len(p))
	w.left -= n
	return n, nil
}

func TestReaderAllocatesAtMostThreeTimesPerEntry(t *testing.T) {
	const entries = 1000
	var list []string
	for i := range entries {
		name := fmt.Sprintf("entry-%04d", i)
		list = append(list, entry(name, symlink("target")))
	}
	data := archive(directory(list...))
	allocs := testing.AllocsPerRun(5, func() {
		require.NoError(t, readAll(nar.NewReader(strings.NewReader(data)), true))
	})
	assert.LessOrEqual(t, allocs/entries, 3.05)
}

func TestAbandonedReadersLeakNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sample.nar")
	require.NoError(t, os.WriteFile(path, []byte(sample), 0o600))
	leavesNothing(t, func() {
		for i := range 200 {
			f, err := os.Open(path)
			require.NoError(t, err)
			r := nar.NewReader(f)
			for range i % 8 {
				_, err := r.Next()
				require.NoError(t, err)
			}
			_, err = io.CopyN(io.Discard, r, 3)
			require.True(t, err == nil || err == io.EOF)
			require.NoError(t, f.Close())
		}
	})
}

// openFiles counts the file descriptors of the process, where it can.
func openFiles(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
