package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
)

// writable are the codecs that can write.
var writable = []string{"none", "zstd", "xz", "gzip", "br", "lz4", "lzip", "lzma"}

func encode(t testing.TB, name string, data []byte, o codec.WriterOptions) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := codec.NewWriter(name, &buf, o)
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// decode reads all, in parallel too where it makes a difference.
func decode(name string, data []byte, o codec.ReaderOptions) ([]byte, error) {
	out, err := decodeOnce(name, data, o)
	if name != "zstd" {
		return out, err
	}
	o.Parallel = true
	again, parallelErr := decodeOnce(name, data, o)
	if (err == nil) != (parallelErr == nil) || err == nil && !bytes.Equal(out, again) {
		return nil, fmt.Errorf("reading in parallel makes a difference: %w, %w", err, parallelErr)
	}
	return out, err
}

func decodeOnce(name string, data []byte, o codec.ReaderOptions) ([]byte, error) {
	r, err := codec.NewReader(name, bytes.NewReader(data), o)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(r)
	return out, errors.Join(err, r.Close())
}

// TestSlowFrames writes more than one frame of the slow formats.
func TestSlowFrames(t *testing.T) {
	data := append(make([]byte, 8<<20), text(10_000)...)
	for _, name := range []string{"xz", "lzip"} {
		t.Run(name, func(t *testing.T) {
			out := encode(t, name, data, codec.WriterOptions{Level: 1, Parallel: true, Workers: 2})
			back, err := decode(name, out, codec.ReaderOptions{})
			require.NoError(t, err)
			assert.True(t, bytes.Equal(data, back))
			one := encode(t, name, data, codec.WriterOptions{Level: 1, Parallel: true, Workers: 1})
			assert.True(t, bytes.Equal(out, one), "one worker writes something else")
		})
	}
}

// text returns n bytes that compress about as well as source code does.
func text(n int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 2000)
	for i := range words {
		word := make([]byte, 2+rnd.IntN(9))
		for j := range word {
			word[j] = 'a' + byte(rnd.IntN(26))
		}
		words[i] = string(word)
	}
	var buf bytes.Buffer
	for buf.Len() < n {
		fmt.Fprintf(&buf, "%s %s(%d)\n", words[rnd.IntN(40)], words[rnd.IntN(2000)], rnd.IntN(1000))
	}
	return buf.Bytes()[:n]
}

func TestRoundTrip(t *testing.T) {
	inputs := map[string][]byte{
		"empty":       {},
		"one byte":    {'x'},
		"small":       text(20_000),
		"one block":   text(128 << 10),
		"two buffers": text(128<<10 + 32<<10 + 1),
		"two frames":  text(4<<20 + 1),
		"zeros":       make([]byte, 5<<20),
	}
	for _, name := range writable {
		for input, data := range inputs {
			if len(data) > 1<<20 && slow[name] {
				continue // TestSlowFrames has as much as is needed
			}
			for _, parallel := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/parallel=%v", name, input, parallel), func(t *testing.T) {
					out := encode(t, name, data, codec.WriterOptions{Parallel: parallel, Workers: 3})
					back, err := decode(name, out, codec.ReaderOptions{})
					require.NoError(t, err)
					assert.True(t, bytes.Equal(data, back))
				})
			}
		}
	}
}
