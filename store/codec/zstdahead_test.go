package codec

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// zstdPieces returns contents, each as one frame.
func zstdPieces(t testing.TB, contents ...[]byte) []byte {
	var all []byte
	for _, c := range contents {
		var err error
		all, err = encodeZstd(all, c, zstd.SpeedFastest)
		require.NoError(t, err)
	}
	return all
}

// unsizedFrame returns a frame that does not state the size of its content.
func unsizedFrame(t testing.TB, content []byte) []byte {
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func readAhead(data []byte, wrap func(io.Reader) io.Reader) ([]byte, error) {
	c, err := Lookup("zstd")
	if err != nil {
		return nil, err
	}
	r, err := c.NewReader(wrap(bytes.NewReader(data)), ReaderOptions{Parallel: true})
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(r)
	return out, errors.Join(err, r.Close())
}

func plainReader(r io.Reader) io.Reader { return r }

func TestZstdAhead(t *testing.T) {
	large := bytes.Repeat([]byte("some text, and more of it; "), 20_000)
	random := noise(zstdFrame)
	skippable := append(binary.LittleEndian.AppendUint32(nil, 0x184d2a53), 5, 0, 0, 0, 1, 2, 3, 4, 5)
	tests := []struct {
		name string
		data []byte
		want []byte
	}{
		{"one frame", zstdPieces(t, large), large},
		{"one small frame", zstdPieces(t, large[:100]), large[:100]},
		{"empty frame", zstdPieces(t, nil), nil},
		{"many frames", zstdPieces(t, large, large[:1], random, nil, large, random[:5], large), slices.Concat(large, large[:1], random, large, random[:5], large)},
		{"unsized first", append(unsizedFrame(t, large), zstdPieces(t, large)...), slices.Concat(large, large)},
		{"unsized last", append(zstdPieces(t, large, large), unsizedFrame(t, large)...), slices.Concat(large, large, large)},
		{"skippable first", append(slices.Clone(skippable), zstdPieces(t, large, large)...), slices.Concat(large, large)},
		{"skippable between", slices.Concat(zstdPieces(t, large), skippable, zstdPieces(t, large)), slices.Concat(large, large)},
		{"larger than a frame of ours", zstdPieces(t, large, append(slices.Clone(random), 1), large), slices.Concat(large, random, []byte{1}, large)},
	}
	sources := map[string]func(io.Reader) io.Reader{"whole": plainReader, "halves": iotest.HalfReader, "error with data": iotest.DataErrReader}
	for _, tt := range tests {
		for how, source := range sources {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				got, err := readAhead(tt.data, source)
				require.NoError(t, err)
				require.True(t, bytes.Equal(tt.want, got))
			})
		}
		t.Run(tt.name+", cut", func(t *testing.T) {
			for n := range 40 {
				at := len(tt.data) * n / 40
				got, err := readAhead(tt.data[:at], plainReader)
				require.True(t, bytes.HasPrefix(tt.want, got))
				if err == nil {
					_, err = readStream(tt.data[:at])
					require.NoError(t, err, "cut at %d", at)
					continue
				}
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", at)
				require.ErrorAs(t, err, new(*FormatError))
			}
		})
	}
}

func readStream(data []byte) ([]byte, error) {
	c, err := Lookup("zstd")
	if err != nil {
		return nil, err
	}
	r, err := c.NewReader(bytes.NewReader(data), ReaderOptions{})
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(r)
	return out, errors.Join(err, r.Close())
}

func TestZstdAheadFails(t *testing.T) {
	large := noise(1 << 20)
	good := zstdPieces(t, large, large, large)
	t.Run("data after the end", func(t *testing.T) {
		got, err := readAhead(append(slices.Clone(good), "more"...), plainReader)
		require.ErrorAs(t, err, new(*FormatError))
		require.Equal(t, slices.Concat(large, large, large), got)
	})
	t.Run("flipped byte", func(t *testing.T) {
		for _, at := range []int{0, 4, 5, 9, 1000, len(good) / 2, len(good) - 1} {
			data := slices.Clone(good)
			data[at] ^= 0x55
			got, err := readAhead(data, plainReader)
			require.ErrorAs(t, err, new(*FormatError), "at %d", at)
			require.True(t, bytes.HasPrefix(slices.Concat(large, large, large), got))
		}
	})
	t.Run("source fails", func(t *testing.T) {
		failure := errors.New("gone")
		_, err := readAhead(nil, func(io.Reader) io.Reader {
			return io.MultiReader(bytes.NewReader(good[:len(good)/2]), iotest.ErrReader(failure))
		})
		require.ErrorIs(t, err, failure)
	})
	t.Run("content is larger than stated", func(t *testing.T) {
		data := zstdPieces(t, bytes.Repeat([]byte{7}, 1<<20))
		require.EqualValues(t, 1<<20, binary.LittleEndian.Uint32(data[5:]), "content size in the header")
		binary.LittleEndian.PutUint32(data[5:], 1<<19)
		got, err := readAhead(data, plainReader)
		require.ErrorAs(t, err, new(*FormatError))
		require.LessOrEqual(t, len(got), 1<<20)
	})
}

func TestIgnoreChecksums(t *testing.T) {
	checksum := regexp.MustCompile("CRC|checksum") // in Go, linked
	large := noise(1 << 20)
	for _, contents := range [][]byte{large, large[:10]} { // ahead, and as a stream
		data := zstdPieces(t, contents)
		data[len(data)-1] ^= 1 // of the checksum
		_, err := readAhead(data, plainReader)
		require.Error(t, err)
		require.Regexp(t, checksum, err)
		r, err := NewReader("zstd", bytes.NewReader(data), ReaderOptions{Parallel: true, IgnoreChecksums: true})
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, contents, got)
		require.NoError(t, r.Close())
		_, err = readAhead(data, plainReader)
		require.Error(t, err)
		require.Regexp(t, checksum, err, "after a reader that ignores")
	}
}

func TestZstdAheadCloses(t *testing.T) {
	large := noise(1 << 20)
	r := &zstdAhead{src: bufio.NewReader(bytes.NewReader(zstdPieces(t, large, large, large, large)))}
	r.begin()
	r.begin()
	require.Len(t, r.pending, 2, "frames ahead")
	require.NoError(t, r.Close())
	for _, done := range r.pending {
		require.Empty(t, done)
	}
}

// FuzzZstdAhead compares frames of any size with the stream.
func FuzzZstdAhead(f *testing.F) {
	f.Add(zstdPieces(f, []byte("some text, some text"), nil, []byte("and more, and more")))
	f.Add(append(zstdPieces(f, []byte("some text, some text")), unsizedFrame(f, []byte("text"))...))
	f.Add(append(zstdPieces(f, bytes.Repeat([]byte{1}, 1000)), "junk"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		o := ReaderOptions{MaxMemory: limit}
		read := func(open func(io.Reader, ReaderOptions) (io.ReadCloser, error)) ([]byte, error) {
			r, err := guardReader("zstd", open)(bytes.NewReader(data), o)
			require.NoError(t, err)
			defer r.Close()
			return io.ReadAll(io.LimitReader(r, limit))
		}
		want, wantErr := read(newZstdStream)
		got, err := read(func(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
			return &zstdAhead{src: r.(*bufio.Reader), options: o, any: true}, nil
		})
		require.Equal(t, wantErr == nil, err == nil, "%v, %v", wantErr, err)
		if err == nil {
			require.True(t, bytes.Equal(want, got))
			return
		}
		require.ErrorAs(t, err, new(*FormatError))
		require.NotContains(t, err.Error(), "decoder failed")
	})
}
