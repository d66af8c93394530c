package codec_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
)

// sample is the NAR that every file of testdata/tools decodes to.
func sample(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/corpus/hello/none")
	require.NoError(t, err)
	return data
}

// toolFiles are files that the formats' own tools wrote, with the features
// that streams of the format may have. A name is the codec's, a dot, and what
// is special.
func toolFiles(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/tools/*")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	files := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		files[filepath.Base(name)] = data
	}
	return files
}

func codecOf(file string) string {
	name, _, _ := strings.Cut(file, ".")
	return name
}

// readAll decodes all of r. Unlike io.ReadAll it does not hide an error that
// comes with data.
func readAll(name string, r io.Reader) ([]byte, error) {
	d, err := codec.NewReader(name, r, codec.ReaderOptions{})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(d)
}

func TestReadsWhatToolsWrite(t *testing.T) {
	want := sample(t)
	for file, data := range toolFiles(t) {
		sources := map[string]io.Reader{
			"whole":         bytes.NewReader(data),
			"byte by byte":  iotest.OneByteReader(bytes.NewReader(data)),
			"EOF with data": iotest.DataErrReader(bytes.NewReader(data)),
		}
		for how, src := range sources {
			t.Run(file+"/"+how, func(t *testing.T) {
				got, err := readAll(codecOf(file), src)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(want, got))
			})
		}
	}
}

func TestReadsIntoSmallBuffers(t *testing.T) {
	want := sample(t)
	for file, data := range toolFiles(t) {
		t.Run(file, func(t *testing.T) {
			r, err := codec.NewReader(codecOf(file), bytes.NewReader(data), codec.ReaderOptions{})
			require.NoError(t, err)
			defer r.Close()
			require.NoError(t, iotest.TestReader(struct{ io.Reader }{r}, want))
		})
	}
}

// A file that is cut off is an error, but for those places where what is left
// is a whole file of the format.
func TestTruncated(t *testing.T) {
	whole := map[string]int{ // number of such places
		"bzip2.two-streams":     1,
		"gzip.two-members":      1,
		"gzip.with-name":        1,
		"lz4.legacy":            1, // the format has no end mark
		"lz4.skippable":         2,
		"lz4.two-frames":        1,
		"lzip.two-members":      1,
		"xz.padded-streams":     4,
		"xz.two-streams":        1,
		"zstd.skippable-frames": 4,
		"zstd.two-frames":       1,
	}
	for file, data := range toolFiles(t) {
		if codecOf(file) == "compress" || file == "zstd.window-128M" {
			continue // the one knows no end; the other takes too much time
		}
		t.Run(file, func(t *testing.T) {
			clean := 0
			for n := range data {
				_, err := decode(codecOf(file), data[:n], codec.ReaderOptions{})
				if err == nil {
					clean++
					continue
				}
				require.ErrorAs(t, err, new(*codec.FormatError))
				if file != "xz.padded-streams" { // where a part of the padding is not zero
					require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d of %d bytes", n, len(data))
				}
			}
			assert.Equal(t, whole[file], clean)
		})
	}
}

func TestTrailingData(t *testing.T) {
	tails := map[string]string{
		"a byte":         "x",
		"a line":         "garbage\n",
		"another format": "\x1f\x8b",
		"many":           strings.Repeat("more than the decoder's buffer ", 4000),
	}
	for file, data := range toolFiles(t) {
		if codecOf(file) == "compress" || file == "lz4.legacy" || file == "zstd.window-128M" {
			continue // whatever follows belongs to the stream
		}
		for name, tail := range tails {
			t.Run(file+"/"+name, func(t *testing.T) {
				_, err := decode(codecOf(file), append(slices.Clip(data), tail...), codec.ReaderOptions{})
				require.ErrorAs(t, err, new(*codec.FormatError))
			})
		}
	}
}

// failing returns data and then an error.
func failing(data []byte, err error) io.Reader {
	return io.MultiReader(bytes.NewReader(data), iotest.ErrReader(err))
}

// An error of the source comes out as it is, wherever it strikes, even where
// the data would be complete, and even one that looks like truncation.
func TestSourceErrors(t *testing.T) {
	for file, data := range toolFiles(t) {
		if file == "zstd.window-128M" {
			continue // takes too much time
		}
		t.Run(file, func(t *testing.T) {
			for _, cause := range []error{errors.New("connection reset"), io.ErrUnexpectedEOF} {
				for n := range len(data) + 1 {
					_, err := readAll(codecOf(file), failing(data[:n], cause))
					require.Equal(t, cause, err, "after %d of %d bytes", n, len(data))
				}
			}
		})
	}
}

// A flipped bit is an error or harms nothing, where there is a checksum, and
// never more than an error.
func TestFlippedBits(t *testing.T) {
	want := sample(t)
	unchecked := []string{"br.plain", "br.window-1K", "compress.16-bits", "compress.10-bits", "lz4.legacy",
		"lz4.skippable", "lzma.other-properties", "lzma.xz", "xz.delta-no-check", "zstd.two-frames"}
	for file, data := range toolFiles(t) {
		if file == "zstd.window-128M" {
			continue // takes too much time
		}
		t.Run(file, func(t *testing.T) {
			checked := !slices.Contains(unchecked, file)
			for i := range data {
				for _, bit := range []byte{1 << (i % 8)} {
					broken := slices.Clone(data)
					broken[i] ^= bit
					got, err := decode(codecOf(file), broken, codec.ReaderOptions{MaxSize: 1 << 20})
					if err == nil && checked {
						require.True(t, bytes.Equal(want, got), "byte %d", i)
					}
				}
			}
		})
	}
}
