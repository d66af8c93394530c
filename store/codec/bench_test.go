package codec_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
)

// benchData is what store objects are made of: half Go's own sources, half the
// machine code of this test.
var benchData = sync.OnceValue(func() []byte {
	const half = 16 << 20
	var buf bytes.Buffer
	goroot, _ := exec.Command("go", "env", "GOROOT").Output()
	root := os.DirFS(filepath.Join(strings.TrimSpace(string(goroot)), "src"))
	_ = fs.WalkDir(root, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || buf.Len() >= half {
			return fs.SkipAll
		}
		if strings.HasSuffix(name, ".go") {
			data, _ := fs.ReadFile(root, name)
			buf.Write(data)
		}
		return nil
	})
	if exe, err := os.Executable(); err == nil {
		data, _ := os.ReadFile(exe)
		buf.Write(data[:min(len(data), half)])
	}
	if buf.Len() < half { // no sources here
		buf.Write(text(half))
	}
	return buf.Bytes()
})

func BenchmarkEncode(b *testing.B) {
	for _, name := range writable {
		for _, level := range benchLevels[name] {
			for _, parallel := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/level=%d/parallel=%v", name, level, parallel), func(b *testing.B) {
					data := benchData()
					if slow[name] {
						data = data[8<<20 : 24<<20]
					}
					o := codec.WriterOptions{Level: level, Parallel: parallel}
					b.SetBytes(int64(len(data)))
					b.ReportAllocs()
					var out counter
					for b.Loop() {
						out = 0
						w, err := codec.NewWriter(name, &out, o)
						require.NoError(b, err)
						_, err = io.Copy(w, onlyReader{bytes.NewReader(data)})
						require.NoError(b, err)
						require.NoError(b, w.Close())
					}
					b.ReportMetric(float64(out)/float64(len(data)), "ratio")
				})
			}
		}
	}
}

var (
	slow        = map[string]bool{"xz": true, "lzip": true, "lzma": true, "br": true}
	benchLevels = map[string][]int{
		"none": {0}, "zstd": {1, 3, 9, 19}, "xz": {1, 6}, "gzip": {1, 6, 9}, "br": {1, 5, 9},
		"lz4": {1, 9}, "lzip": {6}, "lzma": {6},
	}
)

func BenchmarkDecode(b *testing.B) {
	for _, name := range writable {
		benchmarkDecode(b, name, name, codec.ReaderOptions{})
	}
	benchmarkDecode(b, "zstd/parallel", "zstd", codec.ReaderOptions{Parallel: true})
}

func benchmarkDecode(b *testing.B, title, name string, o codec.ReaderOptions) {
	b.Run(title, func(b *testing.B) {
		data := benchData()
		if slow[name] {
			data = data[8<<20 : 24<<20]
		}
		var buf bytes.Buffer
		w, err := codec.NewWriter(name, &buf, codec.WriterOptions{Level: 1})
		require.NoError(b, err)
		_, err = w.Write(data)
		require.NoError(b, err)
		require.NoError(b, w.Close())
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			r, err := codec.NewReader(name, bytes.NewReader(buf.Bytes()), o)
			require.NoError(b, err)
			n, err := io.Copy(onlyWriter{io.Discard}, r)
			require.NoError(b, err)
			require.EqualValues(b, len(data), n)
			require.NoError(b, r.Close())
		}
	})
}

// BenchmarkSmall is what many small store paths cost.
func BenchmarkSmall(b *testing.B) {
	data := text(20_000)
	for _, name := range writable {
		b.Run(name+"/encode", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				w, err := codec.NewWriter(name, io.Discard, codec.WriterOptions{Parallel: name == "zstd"})
				require.NoError(b, err)
				_, err = w.Write(data)
				require.NoError(b, err)
				require.NoError(b, w.Close())
			}
		})
		compressed := encode(b, name, data, codec.WriterOptions{})
		b.Run(name+"/decode", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := codec.NewReader(name, bytes.NewReader(compressed), codec.ReaderOptions{})
				require.NoError(b, err)
				_, err = io.Copy(io.Discard, r)
				require.NoError(b, err)
				require.NoError(b, r.Close())
			}
		})
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

type onlyReader struct{ io.Reader }

type onlyWriter struct{ io.Writer }
