package storetest

import (
	"bytes"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
)

// requireBody reads and closes an object from Get, whose body must be want.
func requireBody(t *testing.T, obj *blob.Object, want []byte) {
	t.Helper()
	got, err := io.ReadAll(obj.Body)
	require.NoError(t, err)
	require.NoError(t, obj.Body.Close())
	if !bytes.Equal(want, got) {
		require.Failf(t, "wrong body", "%d bytes of %q from %d differ from the %d that were stored", len(got), obj.Key, obj.Offset, len(want))
	}
	if obj.Length >= 0 {
		require.EqualValues(t, len(want), obj.Length)
	}
}

func testGet(t *testing.T, s *suite) {
	data := noise(1, 3<<20+17)

	for _, tt := range []struct {
		name     string
		opts     blob.GetOptions
		from, to int
	}{
		{"whole", blob.GetOptions{}, 0, len(data)},
		{"first byte", blob.GetOptions{Length: 1}, 0, 1},
		{"part", blob.GetOptions{Offset: 1 << 20, Length: 4097}, 1 << 20, 1<<20 + 4097},
		{"to the end", blob.GetOptions{Offset: 2 << 20}, 2 << 20, len(data)},
		{"last byte", blob.GetOptions{Offset: int64(len(data)) - 1}, len(data) - 1, len(data)},
		{"more than there is", blob.GetOptions{Offset: int64(len(data)) - 5, Length: 100}, len(data) - 5, len(data)},
		{"at the end", blob.GetOptions{Offset: int64(len(data))}, len(data), len(data)},
		{"after the end", blob.GetOptions{Offset: int64(len(data)) + 1, Length: 1}, len(data), len(data)},
		{"as far as numbers go", blob.GetOptions{Offset: 5, Length: math.MaxInt64}, 5, len(data)},
		{"from where numbers end", blob.GetOptions{Offset: math.MaxInt64, Length: math.MaxInt64}, len(data), len(data)},
	} {
		s.run(t, tt.name, func(t *testing.T, b blob.Bucket) {
			put(t, b, "dir/object", data, blob.PutOptions{})
			obj, err := b.Get(t.Context(), "dir/object", tt.opts)
			require.NoError(t, err)
			assert.Equal(t, "dir/object", obj.Key)
			assert.EqualValues(t, len(data), obj.Size, "Size is of the whole object")
			assert.EqualValues(t, tt.from, obj.Offset)
			requireBody(t, obj, data[tt.from:tt.to])
		})
	}

	s.run(t, "empty object", func(t *testing.T, b blob.Bucket) {
		put(t, b, "empty", nil, blob.PutOptions{})
		for _, opts := range []blob.GetOptions{{}, {Offset: 1}, {Length: 1}} {
			obj, err := b.Get(t.Context(), "empty", opts)
			require.NoError(t, err, "%+v", opts)
			requireBody(t, obj, nil)
		}
	})
	s.run(t, "negative range", func(t *testing.T, b blob.Bucket) {
		put(t, b, "object", data[:10], blob.PutOptions{})
		for _, opts := range []blob.GetOptions{{Offset: -1}, {Length: -1}} {
			_, err := b.Get(t.Context(), "object", opts)
			require.Error(t, err, "%+v", opts)
		}
	})
	s.run(t, "IfMatch", func(t *testing.T, b blob.Bucket) {
		put(t, b, "object", data[:10], blob.PutOptions{})
		attrs, err := b.Head(t.Context(), "object")
		require.NoError(t, err)
		require.NotEmpty(t, attrs.ETag)
		obj, err := b.Get(t.Context(), "object", blob.GetOptions{Offset: 2, IfMatch: attrs.ETag})
		require.NoError(t, err)
		requireBody(t, obj, data[2:10])

		put(t, b, "object", data[10:20], blob.PutOptions{})
		_, err = b.Get(t.Context(), "object", blob.GetOptions{Offset: 2, IfMatch: attrs.ETag})
		require.ErrorIs(t, err, blob.ErrPrecondition)
	})
	s.run(t, "body is closed before its end", func(t *testing.T, b blob.Bucket) {
		put(t, b, "object", data, blob.PutOptions{})
		obj, err := b.Get(t.Context(), "object", blob.GetOptions{})
		require.NoError(t, err)
		_, err = io.ReadFull(obj.Body, make([]byte, 10))
		require.NoError(t, err)
		require.NoError(t, obj.Body.Close())
		requireObject(t, b, "object", data)
	})
	s.run(t, "attributes", func(t *testing.T, b blob.Bucket) {
		want := putWithAttrs(t, s, b)
		obj, err := b.Get(t.Context(), "object", blob.GetOptions{})
		require.NoError(t, err)
		require.NoError(t, obj.Body.Close())
		assertAttrs(t, want, obj.Attrs)
	})
	s.run(t, "a body that holds still is what it was", func(t *testing.T, b blob.Bucket) {
		put(t, b, "object", data, blob.PutOptions{})
		obj, err := b.Get(t.Context(), "object", blob.GetOptions{})
		require.NoError(t, err)
		defer obj.Body.Close()
		put(t, b, "object", noise(2, len(data)), blob.PutOptions{})
		got, err := io.ReadAll(obj.Body)
		if err == nil && !bytes.Equal(data, got) {
			require.Fail(t, "the body mixes two objects, or is the later one")
		}
	})
}

func testHead(t *testing.T, s *suite) {
	s.run(t, "attributes", func(t *testing.T, b blob.Bucket) {
		want := putWithAttrs(t, s, b)
		attrs, err := b.Head(t.Context(), "object")
		require.NoError(t, err)
		assertAttrs(t, want, attrs)
	})
	s.run(t, "ETag changes with the object and only then", func(t *testing.T, b blob.Bucket) {
		seen := map[string]int{}
		for i := range 5 {
			put(t, b, "object", noise(uint64(i), 100), blob.PutOptions{})
			first, err := b.Head(t.Context(), "object")
			require.NoError(t, err)
			require.NotEmpty(t, first.ETag)
			second, err := b.Head(t.Context(), "object")
			require.NoError(t, err)
			require.Equal(t, first.ETag, second.ETag)
			require.NotContains(t, seen, first.ETag, "write %d", i)
			seen[first.ETag] = i
		}
	})
	s.run(t, "gzip is not undone", func(t *testing.T, b blob.Bucket) {
		// Ten zeros and a newline, as gzip(1) packs them.
		packed := []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x0330\x80\x00.\x00\x8f\xe9\xa1\x81\x0b\x00\x00\x00")
		put(t, b, "log/x", packed, blob.PutOptions{ContentEncoding: "gzip", ContentType: "text/plain"})
		requireObject(t, b, "log/x", packed)
	})
}

// putWithAttrs stores an object with all attributes and returns those that a
// reader must get.
func putWithAttrs(t *testing.T, s *suite, b blob.Bucket) blob.Attrs {
	t.Helper()
	opts := blob.PutOptions{
		ContentType:     "text/plain; charset=utf-8",
		ContentEncoding: "zstd",
		CacheControl:    "max-age=60",
	}
	attrs := put(t, b, "object", []byte("packed"), opts)
	want := blob.Attrs{Key: "object", Size: 6, ETag: attrs.ETag}
	if !s.features.NoContentType {
		want.ContentType = opts.ContentType
	}
	if !s.features.NoContentEncoding {
		want.ContentEncoding = opts.ContentEncoding
	}
	return want
}

// assertAttrs compares attributes. Those that are empty in want may have any
// value, except the time: it is that of a write just now, by a clock that may be
// another machine's.
func assertAttrs(t *testing.T, want, got blob.Attrs) {
	t.Helper()
	assert.Equal(t, want.Key, got.Key)
	assert.Equal(t, want.Size, got.Size)
	if want.ETag != "" {
		assert.Equal(t, want.ETag, got.ETag)
	}
	if want.ContentType != "" {
		assert.Equal(t, want.ContentType, got.ContentType)
	}
	if want.ContentEncoding != "" {
		assert.Equal(t, want.ContentEncoding, got.ContentEncoding)
	}
	if !got.ModTime.IsZero() {
		assert.WithinDuration(t, time.Now(), got.ModTime, time.Hour)
	}
}
