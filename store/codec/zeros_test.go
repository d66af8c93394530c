package codec_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
)

// TestZeroTail holds the readers to what Nix 2.8, 2.26 and 2.34 accept after
// the end of an archive: see zeros.go for the two differences.
func TestZeroTail(t *testing.T) {
	counts := []int{1, 2, 3, 4, 5, 8, 511, 512, 70_000}
	accepts := map[string]func(n int) bool{
		"br":    func(int) bool { return true },
		"bzip2": func(n int) bool { return n > 1 },
		"gzip":  func(int) bool { return true },
		"lz4":   func(n int) bool { return n > 3 },
		"lzip":  func(int) bool { return true },
		"lzma":  func(int) bool { return true },
		"xz":    func(n int) bool { return n%4 == 0 },
		"zstd":  func(int) bool { return false },
	}
	want := sample(t)
	for file, data := range toolFiles(t) {
		name := codecOf(file)
		accept := accepts[name]
		if accept == nil || file == "lz4.legacy" || strings.HasSuffix(file, "window-128M") {
			continue // a legacy frame of lz4 has no end
		}
		t.Run(file, func(t *testing.T) {
			for _, n := range counts {
				padded := append(slices.Clone(data), make([]byte, n)...)
				for how, src := range map[string]func() ([]byte, error){
					"whole":        func() ([]byte, error) { return readAll(name, bytes.NewReader(padded)) },
					"byte by byte": func() ([]byte, error) { return readAll(name, iotest.OneByteReader(bytes.NewReader(padded))) },
				} {
					got, err := src()
					if accept(n) {
						require.NoError(t, err, "%d zeros, %s", n, how)
						assert.True(t, bytes.Equal(want, got), "%d zeros, %s", n, how)
					} else {
						require.ErrorAs(t, err, new(*codec.FormatError), "%d zeros, %s", n, how)
					}
				}
			}
		})
		t.Run(file+", more than zeros", func(t *testing.T) {
			for _, tail := range []string{"\n", "x", "text", "\x00\x00\x00\x00x", strings.Repeat("\x00", 70_000) + "x"} {
				_, err := readAll(name, strings.NewReader(string(data)+tail))
				require.ErrorAs(t, err, new(*codec.FormatError), "%q", tail)
			}
		})
	}
}
