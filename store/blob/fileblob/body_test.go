package fileblob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
)

// pattern returns content that differs from place to place.
func pattern(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return data
}

// tempFile returns a file with content that is open for reading.
func tempFile(t testing.TB, data []byte) *os.File {
	name := filepath.Join(t.TempDir(), "source")
	require.NoError(t, os.WriteFile(name, data, 0o666))
	f, err := os.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestPutPartOfAFile(t *testing.T) {
	data := pattern(10 << 20)
	source := tempFile(t, data)
	b := open(t, t.TempDir(), fileblob.Options{})
	defer b.Close()
	for _, tt := range []struct {
		name     string
		from, to int
	}{
		{"whole", 0, len(data)},
		{"middle", 12345, 9 << 20},
		{"nothing", 5, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := b.Put(t.Context(), "object", io.NewSectionReader(source, int64(tt.from), int64(tt.to-tt.from)), blob.PutOptions{})
			require.NoError(t, err)
			got, _, err := blob.ReadAll(t.Context(), b, "object", 100<<20)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data[tt.from:tt.to], got))
		})
	}
	place, err := source.Seek(0, io.SeekCurrent)
	require.NoError(t, err)
	assert.Zero(t, place, "the source is where it was")

	_, err = b.Put(t.Context(), "short", io.NewSectionReader(source, 1<<20, int64(len(data))), blob.PutOptions{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = b.Head(t.Context(), "short")
	require.ErrorIs(t, err, blob.ErrNotFound)

	cause := errors.New("gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err = b.Put(ctx, "cancelled", io.NewSectionReader(source, 0, 100), blob.PutOptions{})
	require.ErrorIs(t, err, cause)
}

func TestWriteTo(t *testing.T) {
	data := pattern(10<<20 + 3)
	b := open(t, t.TempDir(), fileblob.Options{})
	defer b.Close()
	_, err := b.Put(t.Context(), "object", bytes.NewReader(data), blob.PutOptions{})
	require.NoError(t, err)
	get := func(ctx context.Context, opts blob.GetOptions) *blob.Object {
		obj, err := b.Get(ctx, "object", opts)
		require.NoError(t, err)
		t.Cleanup(func() { obj.Body.Close() })
		return obj
	}
	t.Run("file", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "copy")
		f, err := os.Create(name)
		require.NoError(t, err)
		defer f.Close()
		n, err := io.Copy(f, get(t.Context(), blob.GetOptions{Offset: 7, Length: 9 << 20}).Body)
		require.NoError(t, err)
		assert.EqualValues(t, 9<<20, n)
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(data[7:7+9<<20], got))
	})
	t.Run("behind some reads", func(t *testing.T) {
		body := get(t.Context(), blob.GetOptions{}).Body
		_, err := io.ReadFull(body, make([]byte, 10))
		require.NoError(t, err)
		var rest bytes.Buffer
		_, err = io.Copy(&rest, body)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(data[10:], rest.Bytes()))
	})
	t.Run("cancelled", func(t *testing.T) {
		cause := errors.New("gave up")
		ctx, cancel := context.WithCancelCause(t.Context())
		body := get(ctx, blob.GetOptions{}).Body
		_, err := io.Copy(writerFunc(func(p []byte) (int, error) {
			cancel(cause)
			return len(p), nil
		}), body)
		assert.ErrorIs(t, err, cause)
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A file that is cut while it is read ends with an error.
func TestFileIsCutWhileRead(t *testing.T) {
	for name, read := range map[string]func(io.Reader) error{
		"Read":    func(r io.Reader) error { _, err := io.ReadAll(r); return err },
		"WriteTo": func(r io.Reader) error { _, err := r.(io.WriterTo).WriteTo(io.Discard); return err },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := open(t, dir, fileblob.Options{})
			defer b.Close()
			_, err := b.Put(t.Context(), "object", bytes.NewReader(pattern(1<<20)), blob.PutOptions{})
			require.NoError(t, err)
			obj, err := b.Get(t.Context(), "object", blob.GetOptions{})
			require.NoError(t, err)
			defer obj.Body.Close()
			require.NoError(t, os.Truncate(filepath.Join(dir, "object"), 1000))
			assert.ErrorIs(t, read(obj.Body), io.ErrUnexpectedEOF)
		})
	}
}

func BenchmarkPut(b *testing.B) {
	const size = 400 << 20
	data := pattern(size)
	source := tempFile(b, data)
	for name, content := range map[string]blob.Content{
		"file":   io.NewSectionReader(source, 0, size),
		"memory": bytes.NewReader(data),
	} {
		b.Run(name, func(b *testing.B) {
			bucket, err := fileblob.Open(b.TempDir(), fileblob.Options{NoSync: true})
			require.NoError(b, err)
			defer bucket.Close()
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				_, err := bucket.Put(b.Context(), "nar/object", content, blob.PutOptions{})
				require.NoError(b, err)
			}
		})
	}
	b.Run("plain copy", func(b *testing.B) { // what the others are to be held against
		name := filepath.Join(b.TempDir(), "copy")
		b.SetBytes(size)
		for b.Loop() {
			dst, err := os.Create(name)
			require.NoError(b, err)
			_, err = source.Seek(0, io.SeekStart)
			require.NoError(b, err)
			_, err = io.Copy(dst, source)
			require.NoError(b, err)
			require.NoError(b, dst.Close())
		}
	})
}

func BenchmarkSmallObjects(b *testing.B) {
	bucket, err := fileblob.Open(b.TempDir(), fileblob.Options{})
	require.NoError(b, err)
	defer bucket.Close()
	data := pattern(800)
	b.Run("Put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := bucket.Put(b.Context(), "p4pclmv1gyja5kzc26npqpia1qqxrf0l.narinfo", bytes.NewReader(data), blob.PutOptions{})
			require.NoError(b, err)
		}
	})
	b.Run("ReadAll", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, err := blob.ReadAll(b.Context(), bucket, "p4pclmv1gyja5kzc26npqpia1qqxrf0l.narinfo", 1<<20)
			require.NoError(b, err)
		}
	})
}

func BenchmarkList(b *testing.B) {
	dir := b.TempDir()
	const objects = 10000
	require.NoError(b, os.Mkdir(filepath.Join(dir, "nar"), 0o777))
	for i := range objects / 2 {
		name := strconv.Itoa(i)
		require.NoError(b, os.WriteFile(filepath.Join(dir, name+".narinfo"), nil, 0o666))
		require.NoError(b, os.WriteFile(filepath.Join(dir, "nar", name+".nar"), nil, 0o666))
	}
	bucket, err := fileblob.Open(dir, fileblob.Options{})
	require.NoError(b, err)
	defer bucket.Close()
	for name, opts := range map[string]blob.ListOptions{"all": {}, "shallow": {Shallow: true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range bucket.List(b.Context(), opts) {
					require.NoError(b, err)
				}
			}
		})
	}
}
