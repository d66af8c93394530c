package codec_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
)

func TestNames(t *testing.T) {
	assert.Subset(t, codec.Names(), []string{"br", "bzip2", "compress", "gzip", "lz4", "lzip", "lzma", "none", "xz", "zstd"})
	for _, name := range codec.Names() {
		c, err := codec.Lookup(name)
		require.NoError(t, err)
		assert.Equal(t, name, c.Name)
	}
}

func TestLookupErrors(t *testing.T) {
	known := " (known: " + strings.Join(codec.Names(), ", ") + ")"
	tests := []struct{ name, message string }{
		{"zst", `unknown compression "zst"; did you mean "zstd"?` + known},
		{"Zstd", `unknown compression "Zstd"; did you mean "zstd"?` + known},
		{"brotli", `unknown compression "brotli"; did you mean "br"?` + known},
		{"gz", `unknown compression "gz"; did you mean "gzip"?` + known},
		{"bz2", `unknown compression "bz2"; did you mean "bzip2"?` + known},
		{"snappy", `unknown compression "snappy"` + known},
		{"", `unknown compression ""` + known},
	}
	for _, tt := range tests {
		_, err := codec.Lookup(tt.name)
		require.ErrorIs(t, err, codec.ErrUnknown)
		assert.EqualError(t, err, tt.message)
	}
	for _, name := range []string{"grzip", "lrzip", "lzop"} {
		_, err := codec.NewReader(name, strings.NewReader(""), codec.ReaderOptions{})
		require.ErrorIs(t, err, errors.ErrUnsupported)
		assert.ErrorContains(t, err, `"`+name+`"`)
		assert.ErrorContains(t, err, "codec.Register")
		_, err = codec.NewWriter(name, io.Discard, codec.WriterOptions{})
		require.ErrorIs(t, err, errors.ErrUnsupported)
	}
	for _, name := range []string{"bzip2", "compress"} {
		_, err := codec.NewWriter(name, io.Discard, codec.WriterOptions{})
		require.ErrorIs(t, err, errors.ErrUnsupported)
		assert.ErrorContains(t, err, "the codec decompresses only")
	}
}

// rot1 is a codec that keeps no promise: it takes any error for the end.
func rot1(name string) codec.Codec {
	return codec.Codec{
		Name:   name,
		Detect: func(prefix []byte) bool { return bytes.HasPrefix(prefix, []byte("ROT1")) },
		NewReader: func(r io.Reader, _ codec.ReaderOptions) (io.ReadCloser, error) {
			data, _ := io.ReadAll(r)
			data = bytes.TrimPrefix(data, []byte("ROT1"))
			for i := range data {
				data[i]--
			}
			return io.NopCloser(bytes.NewReader(data)), nil
		},
	}
}

func TestRegister(t *testing.T) {
	codec.Register(rot1("test-rot1"))
	t.Run("reads", func(t *testing.T) {
		got, err := decode("test-rot1", []byte("ROT1ifmmp"), codec.ReaderOptions{})
		require.NoError(t, err)
		assert.Equal(t, "hello", string(got))
	})
	t.Run("is detected", func(t *testing.T) {
		assert.Equal(t, "test-rot1", codec.Detect([]byte("ROT1ifmmp")))
	})
	t.Run("is bounded", func(t *testing.T) {
		_, err := decode("test-rot1", []byte("ROT1ifmmp"), codec.ReaderOptions{MaxSize: 4})
		require.ErrorIs(t, err, codec.ErrTooLarge)
	})
	t.Run("reports the source's errors", func(t *testing.T) {
		cause := errors.New("connection reset")
		_, err := readAll("test-rot1", io.MultiReader(strings.NewReader("ROT1if"), iotest.ErrReader(cause)))
		require.Equal(t, cause, err)
	})
	t.Run("reads nothing from nothing", func(t *testing.T) {
		_, err := decode("test-rot1", nil, codec.ReaderOptions{})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
	t.Run("replaces", func(t *testing.T) {
		c := rot1("test-rot1")
		c.NewReader = func(io.Reader, codec.ReaderOptions) (io.ReadCloser, error) {
			return io.NopCloser(panicReader{}), nil
		}
		codec.Register(c)
		_, err := decode("test-rot1", []byte("ROT1ifmmp"), codec.ReaderOptions{})
		require.ErrorAs(t, err, new(*codec.FormatError))
		assert.ErrorContains(t, err, "test-rot1: after 0 bytes of compressed data: decoder failed: out of range")
	})
	t.Run("needs a name and a reader", func(t *testing.T) {
		assert.Panics(t, func() { codec.Register(codec.Codec{Name: "x"}) })
		c := rot1("")
		assert.Panics(t, func() { codec.Register(c) })
	})
	codec.Register(rot1("test-rot1"))
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("out of range") }

func TestDetect(t *testing.T) {
	for file, data := range toolFiles(t) {
		want := codecOf(file)
		if want == "br" || file == "lzma.other-properties" {
			want = "" // br has no signature, and lzma one of a kind only
		}
		assert.Equal(t, want, codec.Detect(data[:min(len(data), codec.DetectLen)]), file)
	}
	for _, name := range writable {
		want := name
		if name == "br" {
			want = ""
		}
		for _, data := range [][]byte{sample(t), text(100_000)} {
			if name == "none" {
				data = sample(t)
			}
			out := encode(t, name, data, codec.WriterOptions{})
			assert.Equal(t, want, codec.Detect(out), name)
		}
	}
	for _, prefix := range []string{"", "\x28", "StorePath: /nix/store/", "{\"version\":1", "BZh9 is not enough", "\x1f\x8b\x00"} {
		assert.Empty(t, codec.Detect([]byte(prefix)), "%q", prefix)
	}
}

func TestNewReaderDetect(t *testing.T) {
	want := sample(t)
	tools := toolFiles(t)
	tests := []struct {
		name  string // what it is said to be
		file  string // what it is
		codec string // what it is taken for
	}{
		{"zstd", "zstd.two-frames", "zstd"},
		{"", "zstd.two-frames", "zstd"},
		{"xz", "zstd.two-frames", "zstd"},
		{"none", "gzip.two-members", "gzip"},
		{"no such codec", "lzip.plain", "lzip"},
		{"", "lzma.xz", "lzma"},
		{"br", "br.plain", "br"},
		{"lzma", "lzma.other-properties", "lzma"},
		{"br", "", "none"},
		{"", "", "none"},
		{"lzma", "", "none"},
	}
	for _, tt := range tests {
		t.Run(tt.file+" said to be "+tt.name, func(t *testing.T) {
			data := want
			if tt.file != "" {
				data = tools[tt.file]
			}
			r, used, err := codec.NewReaderDetect(tt.name, iotest.OneByteReader(bytes.NewReader(data)), codec.ReaderOptions{})
			require.NoError(t, err)
			assert.Equal(t, tt.codec, used)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			assert.True(t, bytes.Equal(want, got))
		})
	}
	t.Run("text without a name", func(t *testing.T) {
		r, used, err := codec.NewReaderDetect("", strings.NewReader("a log"), codec.ReaderOptions{})
		require.NoError(t, err)
		assert.Equal(t, codec.None, used)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, "a log", string(got))
	})
	t.Run("text with a name", func(t *testing.T) {
		_, used, err := codec.NewReaderDetect("xz", strings.NewReader("a log, they said"), codec.ReaderOptions{})
		require.ErrorAs(t, err, new(*codec.FormatError))
		assert.Equal(t, "xz", used)
	})
	t.Run("neither known", func(t *testing.T) {
		_, _, err := codec.NewReaderDetect("rar", strings.NewReader("a log"), codec.ReaderOptions{})
		require.ErrorIs(t, err, codec.ErrUnknown)
	})
	t.Run("source fails at once", func(t *testing.T) {
		cause := errors.New("connection reset")
		r, _, err := codec.NewReaderDetect("zstd", iotest.ErrReader(cause), codec.ReaderOptions{})
		if err == nil {
			_, err = io.ReadAll(r)
		}
		require.Equal(t, cause, err)
	})
}

func TestContentEncoding(t *testing.T) {
	for _, name := range codec.Names() {
		got, err := codec.ContentEncodings(codec.ContentEncoding(name))
		require.NoError(t, err)
		if name == codec.None {
			assert.Empty(t, got)
			continue
		}
		assert.Equal(t, []string{name}, got)
	}
	for value, want := range map[string]string{
		"":                          "",
		" ":                         "",
		",":                         "",
		"identity":                  "",
		"Identity , identity":       "",
		"none":                      "",
		"aws-chunked":               "",
		"GZIP":                      "gzip",
		"x-gzip":                    "gzip",
		"X-GZip":                    "gzip",
		"x-compress":                "compress",
		" br ":                      "br",
		"\tbr\t":                    "br",
		"xz,":                       "xz",
		",xz":                       "xz",
		"bzip2":                     "bzip2",
		"deflate":                   "deflate",
		"aws-chunked, zstd":         "zstd",
		"zstd,aws-chunked":          "zstd",
		"identity, gzip, identity":  "gzip",
		"gzip,br":                   "gzip br",
		"gzip ,  br":                "gzip br",
		"gzip,, br":                 "gzip br",
		"br,deflate,x-gzip":         "br deflate gzip",
		strings.Repeat("gzip,", 8):  strings.TrimSpace(strings.Repeat("gzip ", 8)),
		strings.Repeat("none,", 99): "",
	} {
		got, err := codec.ContentEncodings(value)
		require.NoError(t, err, value)
		assert.Equal(t, want, strings.Join(got, " "), value)
		assert.Equal(t, want != "", codec.HasEncoding(value), value)
	}
	for _, value := range []string{"deflat", "x-", "utf-8", "gzip br", "gzip;q=1", "*", "gzip, what", strings.Repeat("gzip,", 9)} {
		_, err := codec.ContentEncodings(value)
		require.Error(t, err, value)
		assert.True(t, codec.HasEncoding(value), value)
	}
	_, err := codec.ContentEncodings("deflat")
	require.ErrorIs(t, err, codec.ErrUnknown)
}

func TestContentReader(t *testing.T) {
	text := bytes.Repeat([]byte("a text that is encoded "), 1000)
	encode := func(data []byte, names ...string) []byte {
		for _, name := range names {
			var buf bytes.Buffer
			switch name {
			case "deflate":
				w := zlib.NewWriter(&buf)
				w.Write(data)
				w.Close()
			case "raw":
				w, err := flate.NewWriter(&buf, 6)
				require.NoError(t, err)
				w.Write(data)
				w.Close()
			default:
				w, err := codec.NewWriter(name, &buf, codec.WriterOptions{})
				require.NoError(t, err)
				_, err = w.Write(data)
				require.NoError(t, errors.Join(err, w.Close()))
			}
			data = buf.Bytes()
		}
		return data
	}
	for _, tt := range []struct {
		value   string
		encoded []byte
	}{
		{"", text},
		{"identity", text},
		{"gzip", encode(text, "gzip")},
		{"x-gzip", encode(text, "gzip")},
		{"br", encode(text, "br")},
		{"ZSTD", encode(text, "zstd")},
		{"deflate", encode(text, "deflate")},
		{"deflate", encode(text, "raw")},
		{"gzip, zstd", encode(text, "gzip", "zstd")},
		{"br,gzip,deflate", encode(text, "br", "gzip", "deflate")},
		{"aws-chunked, xz", encode(text, "xz")},
		{"", encode(text, "zstd")}, // the server lost the header
		{"gzip", text[:0]},         // checked below: nothing is not gzip
		{"gzip, gzip", encode(text, "gzip", "gzip")},
	} {
		t.Run(fmt.Sprintf("%q", tt.value), func(t *testing.T) {
			r, err := codec.NewContentReader(tt.value, bytes.NewReader(tt.encoded), codec.ReaderOptions{})
			if len(tt.encoded) == 0 {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, text, got)
			require.NoError(t, r.Close())

			got, err = codec.DecodeContent(tt.value, tt.encoded, int64(max(len(text), len(tt.encoded))))
			require.NoError(t, err)
			require.Equal(t, text, got)
			if len(tt.encoded) < len(text) {
				_, err = codec.DecodeContent(tt.value, tt.encoded, int64(len(text)-1))
				require.ErrorIs(t, err, codec.ErrTooLarge)
			}
		})
	}
	for _, value := range []string{"deflat", "gzip, what", strings.Repeat("gzip,", 9)} {
		_, err := codec.NewContentReader(value, bytes.NewReader(text), codec.ReaderOptions{})
		require.Error(t, err, value)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}
