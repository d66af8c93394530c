package codec_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"io/fs"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/storetest"
)

// allocated returns the bytes that f allocates.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// xzWithDict returns the beginning of an xz stream whose dictionary has the size
// that a property byte stands for: 40 is 4 GiB - 1.
func xzWithDict(property byte) []byte {
	stream := []byte("\xfd7zXZ\x00\x00\x01")
	stream = binary.LittleEndian.AppendUint32(stream, crc32.ChecksumIEEE(stream[6:]))
	block := []byte{2, 0, 0x21, 1, property, 0, 0, 0}
	block = binary.LittleEndian.AppendUint32(block, crc32.ChecksumIEEE(block))
	return append(append(stream, block...), 1, 0, 0, 'x', 0)
}

// A header that asks for more than it may have is refused before memory is
// allocated.
func TestForgedHeaders(t *testing.T) {
	tests := []struct {
		name  string
		codec string
		data  []byte
	}{
		{"window of 256 MiB", "zstd", unhex(t, "28b52ffd 00 90 010000")},
		{"window of 3.75 TiB", "zstd", unhex(t, "28b52ffd 00 ff 010000")},
		{"single segment of 1 GiB", "zstd", unhex(t, "28b52ffd a0 00000040 010000")},
		{"dictionary of 4 GiB", "xz", xzWithDict(40)},
		{"dictionary of 192 MiB", "xz", xzWithDict(31)},
		{"dictionary of 4 GiB", "lzma", unhex(t, "5d ffffffff ffffffffffffffff 0000000000 00")},
		{"dictionary of 1 GiB", "lzma", unhex(t, "5d 00000040 ffffffffffffffff 0000000000 00")},
		{"dictionary of 512 MiB", "lzip", unhex(t, "4c5a495001 1d 0000000000 00")},
	}
	for _, tt := range tests {
		t.Run(tt.codec+"/"+tt.name, func(t *testing.T) {
			n := allocated(func() {
				_, err := decode(tt.codec, tt.data, codec.ReaderOptions{})
				require.ErrorIs(t, err, codec.ErrMemory)
				require.ErrorAs(t, err, new(*codec.FormatError))
			})
			assert.Less(t, n, int64(1<<20))
		})
	}
	refused := []struct {
		name  string
		codec string
		data  []byte
	}{
		{"large window", "br", unhex(t, "11 1e 00 00")},
		{"dictionary of 2 KiB", "lzip", unhex(t, "4c5a495001 0b 0000000000")},
		{"dictionary of 1 GiB", "lzip", unhex(t, "4c5a495001 1e 0000000000")},
		{"version 0", "lzip", unhex(t, "4c5a495000 14 0000000000")},
		{"content of 8 EiB", "lzma", unhex(t, "5d 00001000 ffffffffffffff7f 0000000000")},
		{"properties", "lzma", unhex(t, "ff 00001000 ffffffffffffffff 0000000000")},
		{"codes of 9 bits", "compress", unhex(t, "1f9d 89 6100")},
		{"codes of 17 bits", "compress", unhex(t, "1f9d 91 6100")},
		{"reserved flags", "compress", unhex(t, "1f9d f0 6100")},
		{"code that is not there", "compress", unhex(t, "1f9d 90 ffff")},
		{"no signature", "compress", unhex(t, "1f9e 90 ffff")},
		{"dictionary", "zstd", unhex(t, "28b52ffd 01 00 07 010000")},
		{"block of 8 MiB", "lz4", unhex(t, "04224d18 60 70 73 ffffff7f")},
		{"nothing but a signature", "bzip2", unhex(t, "425a6830")},
	}
	for _, tt := range refused {
		t.Run(tt.codec+"/"+tt.name, func(t *testing.T) {
			n := allocated(func() {
				_, err := decode(tt.codec, tt.data, codec.ReaderOptions{})
				require.ErrorAs(t, err, new(*codec.FormatError))
			})
			assert.Less(t, n, int64(10<<20))
		})
	}
}

func TestMaxMemory(t *testing.T) {
	data := text(200_000)
	for _, name := range []string{"br", "xz", "zstd", "lzma", "lzip"} {
		t.Run(name, func(t *testing.T) {
			out := encode(t, name, data, codec.WriterOptions{})
			_, err := decode(name, out, codec.ReaderOptions{MaxMemory: 100_000})
			require.ErrorIs(t, err, codec.ErrMemory)
			back, err := decode(name, out, codec.ReaderOptions{MaxMemory: 32 << 20})
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, back))
			_, err = decode(name, out, codec.ReaderOptions{MaxMemory: 100_000})
			require.ErrorIs(t, err, codec.ErrMemory, "after a reader that had more")
		})
	}
	t.Run("zstd of 128 MiB, the most that Nix reads", func(t *testing.T) {
		file := toolFiles(t)["zstd.window-128M"]
		_, err := decode("zstd", file, codec.ReaderOptions{MaxMemory: 64 << 20})
		require.ErrorIs(t, err, codec.ErrMemory)
	})
}

func TestMaxSize(t *testing.T) {
	data := text(20_000)
	for _, name := range writable {
		t.Run(name, func(t *testing.T) {
			out := encode(t, name, data, codec.WriterOptions{})
			back, err := decode(name, out, codec.ReaderOptions{MaxSize: 20_000})
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, back))
			back, err = decode(name, out, codec.ReaderOptions{MaxSize: 19_999})
			require.ErrorIs(t, err, codec.ErrTooLarge)
			require.True(t, bytes.Equal(data[:19_999], back))
		})
	}
}

// A bomb comes out in pieces, and is stopped where it is too large.
func TestBomb(t *testing.T) {
	for _, name := range writable {
		if slow[name] || name == "none" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var bomb bytes.Buffer
			w, err := codec.NewWriter(name, &bomb, codec.WriterOptions{})
			require.NoError(t, err)
			_, err = io.CopyN(w, zeros{}, 64<<20)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			n := allocated(func() {
				r, err := codec.NewReader(name, &bomb, codec.ReaderOptions{MaxSize: 60 << 20})
				require.NoError(t, err)
				defer r.Close()
				out, err := io.Copy(onlyWriter{io.Discard}, r)
				require.ErrorIs(t, err, codec.ErrTooLarge)
				require.EqualValues(t, 60<<20, out)
			})
			assert.Less(t, n, int64(12<<20))
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestReaderClose(t *testing.T) {
	for file, data := range toolFiles(t) {
		t.Run(file, func(t *testing.T) {
			storetest.NoLeaks(t)
			r, err := codec.NewReader(codecOf(file), bytes.NewReader(data), codec.ReaderOptions{})
			require.NoError(t, err)
			_, err = io.ReadFull(r, make([]byte, 10))
			require.NoError(t, err)
			require.NoError(t, r.Close(), "in the middle")
			require.NoError(t, r.Close(), "again")
			_, err = r.Read(make([]byte, 10))
			require.ErrorIs(t, err, fs.ErrClosed)
		})
	}
}

// raceDetector is whether the tests run under it.
var raceDetector bool

// Ten thousand small NARs must not cost ten thousand encoders.
func TestSmallIsCheap(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector, pools drop a part of what they are given")
	}
	data := text(20_000)
	const times = 20
	for name, limit := range map[string]int64{
		"none": 1, "zstd": 128, "gzip": 128, "br": 128, "lz4": 64, "xz": 1024, "lzip": 1024, "lzma": 1024, // KiB
	} {
		t.Run(name, func(t *testing.T) {
			out := encode(t, name, data, codec.WriterOptions{}) // fills the pools
			n := allocated(func() {
				for range times {
					encode(t, name, data, codec.WriterOptions{})
				}
			})
			t.Logf("encode: %d KiB", n/times>>10)
			assert.Less(t, n/times>>10, limit+128, "encode") // 128 for the test's own output buffer
			n = allocated(func() {
				for range times {
					_, err := decode(name, out, codec.ReaderOptions{})
					require.NoError(t, err)
				}
			})
			t.Logf("decode: %d KiB", n/times>>10)
			assert.Less(t, n/times>>10, limit+128, "decode")
		})
	}
}
