package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
)

// mixed returns n bytes that compress somewhat.
func mixed(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, n+64)
	for len(b) < n {
		b = append(b, bytes.Repeat([]byte{byte(r.Uint32())}, 1+r.IntN(8))...)
	}
	return b[:n]
}

func compress(t testing.TB, name string, contents []byte, o codec.WriterOptions, cuts ...int) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := codec.NewWriter(name, &buf, o)
	require.NoError(t, err)
	at := 0
	for _, cut := range append(cuts, len(contents)) {
		_, err = w.Write(contents[at:cut])
		require.NoError(t, err)
		at = cut
		require.NoError(t, w.(codec.Cutter).Cut())
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// counted counts what is asked of it.
type counted struct {
	io.ReaderAt
	mu       sync.Mutex
	requests int
	bytes    int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	c.bytes += len(p)
	return c.ReaderAt.ReadAt(p, off)
}

func TestReaderAt(t *testing.T) {
	contents := mixed(11 << 20)
	withIndex := compress(t, "zstd", contents, codec.WriterOptions{Parallel: true})
	files := map[string]struct {
		codec string
		data  []byte
		build bool
	}{
		"zstd with its index": {"zstd", withIndex, false},
		"zstd without index":  {"zstd", withoutSeekTable(t, withIndex), true},
		"zstd, cut":           {"zstd", compress(t, "zstd", contents, codec.WriterOptions{}, 1000, 5<<20, 6<<20), false},
	}
	if xz, err := exec.LookPath("xz"); err == nil {
		cmd := exec.Command(xz, "-c", "-1", "-T1", "--block-size=3000000")
		cmd.Stdin = bytes.NewReader(contents)
		data, err := cmd.Output()
		require.NoError(t, err)
		files["xz with blocks"] = struct {
			codec string
			data  []byte
			build bool
		}{"xz", data, false}
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			whole, err := readAll(file.codec, bytes.NewReader(file.data))
			require.NoError(t, err)
			require.True(t, bytes.Equal(contents, whole), "read as a stream")

			src := &counted{ReaderAt: bytes.NewReader(file.data)}
			size := int64(len(file.data))
			x, err := codec.FindIndex(file.codec, src, size)
			if file.build {
				require.ErrorIs(t, err, codec.ErrNoIndex)
				x, err = codec.BuildIndex(file.codec, bytes.NewReader(file.data), size)
				require.NoError(t, err)
				text, err := x.MarshalBinary()
				require.NoError(t, err)
				x, err = codec.ParseIndex(text, size)
				require.NoError(t, err)
			}
			require.NoError(t, err)
			assert.EqualValues(t, len(contents), x.Size())
			assert.Greater(t, x.Pieces(), 2)
			assert.LessOrEqual(t, src.requests, 2)

			r := x.NewReaderAt(src)
			*src = counted{ReaderAt: src.ReaderAt}
			got := make([]byte, 1<<20)
			n, err := r.ReadAt(got, 7<<20)
			require.NoError(t, err)
			require.Equal(t, contents[7<<20:8<<20], got[:n])
			assert.Equal(t, 1, src.requests, "pieces side by side cost one request")
			_, err = r.ReadAt(got[:100], 7<<20+500_000)
			require.NoError(t, err)
			assert.LessOrEqual(t, src.requests, 2)

			for _, at := range []int64{0, 1, 4<<20 - 1, 4 << 20, 10 << 20, int64(len(contents)) - 1} {
				n, err := r.ReadAt(got, at)
				require.True(t, bytes.Equal(contents[at:at+int64(n)], got[:n]))
				if at+int64(len(got)) <= int64(len(contents)) {
					require.NoError(t, err)
				} else {
					require.Equal(t, io.EOF, err)
				}
			}
			_, err = r.ReadAt(got, int64(len(contents)))
			require.Equal(t, io.EOF, err)
			_, err = r.ReadAt(got, -1)
			require.Error(t, err)
			require.NoError(t, iotest.TestReader(io.NewSectionReader(x.NewReaderAt(src), 3<<20, 300_000), contents[3<<20:3<<20+300_000]))
		})
	}
}

// withoutSeekTable cuts the seek table off.
func withoutSeekTable(t *testing.T, data []byte) []byte {
	n := binary.LittleEndian.Uint32(data[len(data)-9:])
	require.EqualValues(t, 0x8f92eab1, binary.LittleEndian.Uint32(data[len(data)-4:]))
	return data[:len(data)-int(8+8*n+9)]
}

func TestEqualBytesBetweenCuts(t *testing.T) {
	file := mixed(3 << 20)
	a := compress(t, "zstd", slices.Concat([]byte("before"), file, []byte("after")), codec.WriterOptions{}, 6, 6+len(file))
	b := compress(t, "zstd", slices.Concat([]byte("something else"), file), codec.WriterOptions{Parallel: true}, 14)
	alone := compress(t, "zstd", file, codec.WriterOptions{})
	assert.True(t, bytes.Contains(a, alone))
	assert.True(t, bytes.Contains(b, alone))
}

// TestHostileIndex holds that a lie of an index is an error, not other bytes.
func TestHostileIndex(t *testing.T) {
	contents := mixed(9 << 20)
	data := compress(t, "zstd", contents, codec.WriterOptions{})
	table := len(data) - 8 - 3*8 - 9
	le := binary.LittleEndian
	for name, damage := range map[string]func(b []byte){
		"decoded size too small":  func(b []byte) { le.PutUint32(b[table+12:], 1) },
		"decoded size too large":  func(b []byte) { le.PutUint32(b[table+12:], 5<<20) },
		"decoded size enormous":   func(b []byte) { le.PutUint32(b[table+12:], 1<<32-1) },
		"size too small":          func(b []byte) { le.PutUint32(b[table+8:], 10) },
		"size zero":               func(b []byte) { le.PutUint32(b[table+8:], 0) },
		"size too large":          func(b []byte) { le.PutUint32(b[table+8:], 1<<31) },
		"number of frames":        func(b []byte) { le.PutUint32(b[len(b)-9:], 2) },
		"number of frames, huge":  func(b []byte) { le.PutUint32(b[len(b)-9:], 1<<32-1) },
		"descriptor":              func(b []byte) { b[len(b)-5] = 0x40 },
		"frame size":              func(b []byte) { le.PutUint32(b[table+4:], 1) },
		"magic":                   func(b []byte) { b[table] ^= 1 },
		"a byte of a frame":       func(b []byte) { b[100_000] ^= 1 },
		"a frame that is another": func(b []byte) { copy(b[le.Uint32(b[table+8:]):], b[:100_000]) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := slices.Clone(data)
			damage(bad)
			x, err := codec.FindIndex("zstd", bytes.NewReader(bad), int64(len(bad)))
			if err != nil {
				require.ErrorIs(t, err, codec.ErrNoIndex)
				return
			}
			got := make([]byte, 9<<20)
			n, err := x.NewReaderAt(bytes.NewReader(bad)).ReadAt(got, 0)
			require.Error(t, err)
			assert.NotEqual(t, io.EOF, err)
			assert.True(t, bytes.HasPrefix(contents, got[:n]))
		})
	}
	t.Run("data that ends", func(t *testing.T) {
		x, err := codec.FindIndex("zstd", bytes.NewReader(data), int64(len(data)))
		require.NoError(t, err)
		_, err = x.NewReaderAt(bytes.NewReader(data[:1000])).ReadAt(make([]byte, 10), 0)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
	t.Run("data that fails", func(t *testing.T) {
		gone := errors.New("gone")
		_, err := codec.FindIndex("zstd", failingAt{gone}, 1<<20)
		require.ErrorIs(t, err, gone)
	})
	t.Run("of another size", func(t *testing.T) {
		_, err := codec.BuildIndex("zstd", bytes.NewReader(data), int64(len(data))+1)
		require.ErrorIs(t, err, codec.ErrNoIndex)
	})
	for _, name := range []string{"gzip", "none", "lz4"} {
		_, err := codec.FindIndex(name, bytes.NewReader(data), int64(len(data)))
		require.ErrorIs(t, err, codec.ErrNoIndex)
	}
}

type failingAt struct{ err error }

func (f failingAt) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func FuzzFindIndex(f *testing.F) {
	for _, name := range []string{"zstd", "xz"} {
		f.Add(name == "xz", compress(f, name, mixed(120), codec.WriterOptions{Parallel: true}, 40, 80))
	}
	f.Fuzz(func(t *testing.T, isXZ bool, data []byte) {
		name := "zstd"
		if isXZ {
			name = "xz"
		}
		size := int64(len(data))
		x, err := codec.FindIndex(name, bytes.NewReader(data), size)
		if err != nil {
			if x, err = codec.BuildIndex(name, bytes.NewReader(data), size); err != nil {
				return
			}
		}
		got := make([]byte, min(x.Size(), 1<<16))
		n, err := x.NewReaderAt(bytes.NewReader(data)).ReadAt(got, 0)
		if err != nil || n == 0 {
			return
		}
		whole, err := codec.NewReader(name, bytes.NewReader(data), codec.ReaderOptions{MaxSize: 1 << 20})
		if err != nil {
			return
		}
		defer whole.Close()
		if want, err := io.ReadAll(whole); err == nil && !bytes.HasPrefix(want, got[:n]) {
			t.Fatalf("by the index the data decodes to something else")
		}
	})
}
