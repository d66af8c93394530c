package codec_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
)

// fuzzReader seeds with what tools wrote and with what the writer writes. Any
// input must decode to something or fail with a *FormatError, the same for
// every way to read it, and what decodes must be bounded.
func fuzzReader(f *testing.F, name string) {
	for file, data := range toolFiles(f) {
		if codecOf(file) == name && file != "zstd.window-128M" {
			f.Add(data)
			f.Add(data[:len(data)/2])
		}
	}
	if c, err := codec.Lookup(name); err == nil && c.NewWriter != nil {
		f.Add(encode(f, name, nil, codec.WriterOptions{}))
		f.Add(encode(f, name, []byte("some text, some text"), codec.WriterOptions{}))
	}
	o := codec.ReaderOptions{MaxMemory: 1 << 20, MaxSize: 1 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decode(name, data, o)
		require.LessOrEqual(t, len(got), 1<<20)
		if err != nil && !errors.Is(err, codec.ErrTooLarge) {
			require.ErrorAs(t, err, new(*codec.FormatError))
			require.NotContains(t, err.Error(), "decoder failed")
		}
		r, again := codec.NewReader(name, onlyReader{bytes.NewReader(data)}, o)
		if again != nil {
			require.Error(t, err)
			return
		}
		defer r.Close()
		var out []byte
		piece := make([]byte, 7)
		for again == nil {
			var n int
			n, again = r.Read(piece)
			out = append(out, piece[:n]...)
		}
		require.Equal(t, err == nil, again == io.EOF, "%v, %v", err, again)
		if err == nil {
			require.True(t, bytes.Equal(got, out))
		}
	})
}

func FuzzZstd(f *testing.F)     { fuzzReader(f, "zstd") }
func FuzzXZ(f *testing.F)       { fuzzReader(f, "xz") }
func FuzzGzip(f *testing.F)     { fuzzReader(f, "gzip") }
func FuzzBzip2(f *testing.F)    { fuzzReader(f, "bzip2") }
func FuzzBrotli(f *testing.F)   { fuzzReader(f, "br") }
func FuzzLZ4(f *testing.F)      { fuzzReader(f, "lz4") }
func FuzzLzip(f *testing.F)     { fuzzReader(f, "lzip") }
func FuzzLZMA(f *testing.F)     { fuzzReader(f, "lzma") }
func FuzzCompress(f *testing.F) { fuzzReader(f, "compress") }

// FuzzRoundTrip writes in pieces with any codec and reads back.
func FuzzRoundTrip(f *testing.F) {
	for i := range writable {
		f.Add(uint8(i), uint16(3), 0, []byte("some text, some text"))
	}
	f.Fuzz(func(t *testing.T, which uint8, piece uint16, level int, data []byte) {
		name := writable[int(which)%len(writable)]
		var buf bytes.Buffer
		w, err := codec.NewWriter(name, &buf, codec.WriterOptions{Level: level % 9, Parallel: which%2 == 0})
		if err != nil {
			require.Less(t, level%9, -1)
			return
		}
		for rest := data; len(rest) > 0; {
			n := min(int(piece)+1, len(rest))
			_, err := w.Write(rest[:n])
			require.NoError(t, err)
			rest = rest[n:]
		}
		require.NoError(t, w.Close())
		back, err := decode(name, buf.Bytes(), codec.ReaderOptions{})
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, back))
	})
}

// FuzzDetect must take anything.
func FuzzDetect(f *testing.F) {
	f.Add("xz", []byte("\xfd7zXZ\x00"))
	f.Add("", []byte("BZh91AY&SY"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		r, used, err := codec.NewReaderDetect(name, bytes.NewReader(data), codec.ReaderOptions{MaxMemory: 1 << 20, MaxSize: 1 << 16})
		if err != nil {
			return
		}
		require.Contains(t, codec.Names(), used)
		_, _ = io.Copy(io.Discard, r)
		require.NoError(t, r.Close())
	})
}
