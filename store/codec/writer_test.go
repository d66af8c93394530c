package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/storetest"
)

// framed are codecs that make use of several cores, those that are quick.
var framed = []string{"zstd", "gzip", "lz4"}

// frames returns n pieces of 4 MiB, the largest frame of these, in turn one
// that is quick to compress and one that is not.
func frames(n int) []byte {
	data := make([]byte, n<<22)
	rnd := rand.NewChaCha8([32]byte{})
	for i := 1; i < n; i += 2 {
		_, _ = rnd.Read(data[i<<22 : i<<22+1<<17])
	}
	return data
}

// What is written depends on neither the workers, nor how the input comes in
// pieces, nor what the encoder was used for before.
func TestSameInputSameOutput(t *testing.T) {
	data := frames(5)
	for _, name := range framed {
		t.Run(name, func(t *testing.T) {
			want := encode(t, name, data, codec.WriterOptions{Parallel: true, Workers: 1})
			for _, workers := range []int{0, 2, 7} {
				got := encode(t, name, data, codec.WriterOptions{Parallel: true, Workers: workers})
				require.True(t, bytes.Equal(want, got), "%d workers", workers)
			}
			var pieces bytes.Buffer
			w, err := codec.NewWriter(name, &pieces, codec.WriterOptions{Parallel: true, Workers: 2})
			require.NoError(t, err)
			for piece := range slices.Chunk(data, 54_321) {
				_, err := w.Write(piece)
				require.NoError(t, err)
			}
			require.NoError(t, w.Close())
			require.True(t, bytes.Equal(want, pieces.Bytes()), "in pieces")
		})
	}
	t.Run("zstd not parallel", func(t *testing.T) {
		want := encode(t, "zstd", data, codec.WriterOptions{Parallel: true})
		require.True(t, bytes.Equal(want, encode(t, "zstd", data, codec.WriterOptions{})))
	})
}

func TestUsedEncodersWriteTheSame(t *testing.T) {
	data := text(150_000)
	for _, name := range writable {
		for level := 1; level <= 9; level++ {
			t.Run(fmt.Sprintf("%s/%d", name, level), func(t *testing.T) {
				o := codec.WriterOptions{Level: level}
				runtime.GC() // empties the pools
				runtime.GC()
				want := encode(t, name, data, o)
				encode(t, name, data[1234:77_777], o)
				encode(t, name, nil, o)
				require.True(t, bytes.Equal(want, encode(t, name, data, o)))
			})
			if name == "xz" || name == "lzip" || name == "lzma" {
				break // no encoder is used twice
			}
		}
	}
}

func TestLevels(t *testing.T) {
	tests := []struct {
		codec           string
		lowest, highest int
	}{
		{"zstd", -131072, 22},
		{"xz", 1, 9},
		{"gzip", 1, 9},
		{"br", 1, 11},
		{"lz4", 1, 9},
		{"lzip", 1, 9},
		{"lzma", 1, 9},
	}
	data := text(10_000)
	for _, tt := range tests {
		t.Run(tt.codec, func(t *testing.T) {
			for _, level := range []int{tt.lowest, tt.highest, 0, -1} {
				out := encode(t, tt.codec, data, codec.WriterOptions{Level: level})
				back, err := decode(tt.codec, out, codec.ReaderOptions{})
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, back))
			}
			assert.Equal(t,
				encode(t, tt.codec, data, codec.WriterOptions{}),
				encode(t, tt.codec, data, codec.WriterOptions{Level: -1}))
			for _, level := range []int{tt.lowest - 1, tt.highest + 1} {
				if level == 0 {
					level = -2
				}
				_, err := codec.NewWriter(tt.codec, io.Discard, codec.WriterOptions{Level: level})
				require.EqualError(t, err, fmt.Sprintf("%s: expected a compression level between %d and %d, got %d",
					tt.codec, tt.lowest, tt.highest, level))
			}
		})
	}
	t.Run("higher is smaller", func(t *testing.T) {
		source := benchData()[:1<<18]
		for _, tt := range tests {
			if tt.codec == "xz" || tt.codec == "lzip" || tt.codec == "lzma" {
				continue // levels are dictionaries, all larger than the data
			}
			low := encode(t, tt.codec, source, codec.WriterOptions{Level: 1})
			high := encode(t, tt.codec, source, codec.WriterOptions{Level: 9})
			assert.Less(t, len(high), len(low), tt.codec)
		}
	})
}

var errFull = errors.New("no space left")

// fullAfter fails when more than n bytes are written to it.
type fullAfter struct {
	n      int
	failed bool
}

func (f *fullAfter) Write(p []byte) (int, error) {
	if f.failed {
		panic("written to after an error")
	}
	if len(p) > f.n {
		f.failed = true
		return f.n, errFull
	}
	f.n -= len(p)
	return len(p), nil
}

func TestWriteErrors(t *testing.T) {
	for _, name := range writable {
		data := frames(6)
		if slow[name] {
			data = data[4<<20 : 4<<20+1<<18]
		}
		for _, parallel := range []bool{false, true} {
			for _, room := range []int{0, 1, 1 << 17} {
				t.Run(fmt.Sprintf("%s/parallel=%v/%d", name, parallel, room), func(t *testing.T) {
					storetest.NoLeaks(t)
					w, err := codec.NewWriter(name, &fullAfter{n: room}, codec.WriterOptions{Parallel: parallel, Workers: 3})
					if err != nil {
						require.Equal(t, errFull, err)
						return
					}
					for range 2 {
						if _, err = w.Write(data); err != nil {
							break
						}
					}
					closeErr := w.Close()
					assert.Equal(t, errFull, closeErr)
					if err != nil {
						assert.Equal(t, errFull, err)
						_, err = w.Write(data)
						assert.Equal(t, errFull, err, "again")
					}
					assert.Equal(t, errFull, w.Close(), "closed again")
				})
			}
		}
	}
}

func TestShortWrite(t *testing.T) {
	for _, name := range writable {
		w, err := codec.NewWriter(name, shortWriter{}, codec.WriterOptions{})
		if err == nil {
			_, _ = w.Write(text(100_000))
			err = w.Close()
		}
		assert.Equal(t, io.ErrShortWrite, err, name)
	}
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

func TestWriterClose(t *testing.T) {
	for _, name := range writable {
		t.Run(name, func(t *testing.T) {
			storetest.NoLeaks(t)
			var buf bytes.Buffer
			w, err := codec.NewWriter(name, &buf, codec.WriterOptions{Parallel: true})
			require.NoError(t, err)
			_, err = io.WriteString(w, "contents")
			require.NoError(t, err)
			require.NoError(t, w.Close())
			complete := buf.Len()
			require.NoError(t, w.Close(), "again")
			_, err = io.WriteString(w, "more")
			require.ErrorIs(t, err, fs.ErrClosed)
			assert.Equal(t, complete, buf.Len())
		})
	}
}

func TestAbandonedWriter(t *testing.T) {
	data := frames(5)
	for _, name := range framed {
		t.Run(name, func(t *testing.T) {
			storetest.NoLeaks(t)
			w, err := codec.NewWriter(name, io.Discard, codec.WriterOptions{Parallel: true, Workers: 4})
			require.NoError(t, err)
			_, err = w.Write(data)
			require.NoError(t, err)
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	data := text(50_000)
	for _, name := range writable {
		t.Run(name, func(t *testing.T) {
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					part := data[:len(data)/(i+1)]
					for range 2 {
						var buf bytes.Buffer
						w, err := codec.NewWriter(name, &buf, codec.WriterOptions{Parallel: i%2 == 0})
						if !assert.NoError(t, err) {
							return
						}
						_, err = w.Write(part)
						assert.NoError(t, err)
						assert.NoError(t, w.Close())
						back, err := decode(name, buf.Bytes(), codec.ReaderOptions{})
						assert.NoError(t, err)
						assert.True(t, bytes.Equal(part, back))
					}
				})
			}
			wg.Wait()
		})
	}
}
