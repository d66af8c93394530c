package xz_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ulikunitz "github.com/ulikunitz/xz"

	"example.com/nixs3/store/codec/internal/xz"
)

const limit = 128 << 20

func decode(r *xz.Reader, src io.Reader) ([]byte, error) {
	if err := r.Reset(bufio.NewReader(src), limit, false); err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// files are written by the xz command: each filter, each check, several blocks.
// All hold testdata/plain, which is full of what the filters look for.
func files(t testing.TB) (files map[string][]byte, plain []byte) {
	plain, err := os.ReadFile("testdata/plain")
	require.NoError(t, err)
	names, err := filepath.Glob("testdata/*.xz")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	files = map[string][]byte{}
	for _, name := range names {
		files[filepath.Base(name)], err = os.ReadFile(name)
		require.NoError(t, err)
	}
	return files, plain
}

func TestReader(t *testing.T) {
	all, plain := files(t)
	var used xz.Reader // by every case, as a pool does
	for name, data := range all {
		t.Run(name, func(t *testing.T) {
			for how, src := range map[string]io.Reader{
				"whole":        bytes.NewReader(data),
				"byte by byte": iotest.OneByteReader(bytes.NewReader(data)),
				"padded twice": bytes.NewReader(append(slices.Clone(data), make([]byte, 8)...)),
			} {
				got, err := decode(&used, src)
				require.NoError(t, err, how)
				require.True(t, bytes.Equal(plain, got), how)
			}
			require.NoError(t, used.Reset(bufio.NewReader(bytes.NewReader(data)), limit, true))
			require.NoError(t, iotest.TestReader(struct{ io.Reader }{&used}, plain))
		})
	}
}

func TestReaderRefuses(t *testing.T) {
	all, _ := files(t)
	data := all["check-crc64.xz"]
	t.Run("truncated", func(t *testing.T) {
		var r xz.Reader
		for n := 0; n < len(data); n += 1 + n%7 {
			_, err := decode(&r, bytes.NewReader(data[:n]))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d of %d bytes", n, len(data))
		}
	})
	t.Run("flipped", func(t *testing.T) {
		var r xz.Reader
		for at := 0; at < len(data); at += 1 + at%5 {
			bad := slices.Clone(data)
			bad[at] ^= 0x10
			_, err := decode(&r, bytes.NewReader(bad))
			require.Error(t, err, "byte %d", at)
		}
	})
	t.Run("dictionary over the limit", func(t *testing.T) {
		var r xz.Reader
		err := r.Reset(bufio.NewReader(bytes.NewReader(all["none.xz"])), 1<<20, false)
		require.NoError(t, err)
		_, err = io.ReadAll(&r)
		require.ErrorIs(t, err, xz.ErrMemory)
	})
	for id, want := range map[byte]string{0x0b: "RISC-V filter", 0x0c: "filter 0x0c"} {
		bad := withFilter(t, all["arm64.xz"], id)
		var r xz.Reader
		_, err := decode(&r, bytes.NewReader(bad))
		require.ErrorIs(t, err, xz.ErrUnsupported)
		assert.ErrorContains(t, err, want)
	}
}

// withFilter replaces the first filter of the first block.
func withFilter(t *testing.T, data []byte, id byte) []byte {
	data = slices.Clone(data)
	header := data[12 : 12+(int(data[12])+1)*4]
	require.EqualValues(t, 0x0a, header[2], "ID of the first filter")
	header[2] = id
	sum := header[len(header)-4:]
	binary.LittleEndian.PutUint32(sum, crc32.ChecksumIEEE(header[:len(header)-4]))
	return data
}

// TestGrowingWindow covers dictionaries that are smaller and larger than the
// contents, whose ring grows, turns and is used again.
func TestGrowingWindow(t *testing.T) {
	_, plain := files(t)
	contents := bytes.Repeat(append(slices.Clone(plain), "another period"...), 100)
	var r xz.Reader
	for _, dictionary := range []int{1 << 20, 4096, 70_000, 8 << 20, 12_288, 1 << 20} {
		var buf bytes.Buffer
		w, err := ulikunitz.WriterConfig{DictCap: dictionary}.NewWriter(&buf)
		require.NoError(t, err)
		_, err = w.Write(contents)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		got, err := decode(&r, &buf)
		require.NoError(t, err, "dictionary of %d", dictionary)
		require.True(t, bytes.Equal(contents, got), "dictionary of %d", dictionary)
	}
}

// FuzzReader looks for panics, and compares with another implementation what
// both decode.
func FuzzReader(f *testing.F) {
	all, _ := files(f)
	for _, data := range all {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const size = 1 << 20
		var r xz.Reader
		if r.Reset(bufio.NewReader(bytes.NewReader(data)), size, false) != nil {
			return
		}
		got, err := io.ReadAll(io.LimitReader(&r, size))
		if err != nil || len(got) == size {
			return
		}
		other, err := ulikunitz.ReaderConfig{DictCap: size}.NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		if want, err := io.ReadAll(io.LimitReader(other, size)); err == nil && !bytes.Equal(want, got) {
			t.Fatalf("decoded to %d bytes, another implementation to %d", len(got), len(want))
		}
	})
}

func BenchmarkReader(b *testing.B) {
	all, plain := files(b)
	var r xz.Reader
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		src := bufio.NewReader(bytes.NewReader(all["none.xz"]))
		require.NoError(b, r.Reset(src, limit, false))
		_, err := io.Copy(io.Discard, &r)
		require.NoError(b, err)
	}
}
