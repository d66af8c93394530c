package parquetinventory

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
)

// parse reads a whole file.
func parse(t testing.TB, data []byte) (found []blob.Attrs, err error) {
	for attrs, err := range read(t.Context(), bytes.NewReader(data), "") {
		if err != nil {
			return found, err
		}
		found = append(found, attrs)
	}
	return found, nil
}

// write makes a file of rows.
func write[T any](t testing.TB, rows []T, opts ...parquet.WriterOption) []byte {
	t.Helper()
	var buf bytes.Buffer
	require.NoError(t, parquet.Write(&buf, rows, opts...))
	return buf.Bytes()
}

// row has the columns as S3 Inventory writes them.
type row struct {
	Bucket       string     `parquet:"bucket"`
	Key          string     `parquet:"key"`
	VersionID    *string    `parquet:"version_id,optional"`
	IsLatest     *bool      `parquet:"is_latest,optional"`
	IsDelete     *bool      `parquet:"is_delete_marker,optional"`
	Size         *int64     `parquet:"size,optional"`
	LastModified *time.Time `parquet:"last_modified_date,optional,timestamp(millisecond)"`
	ETag         *string    `parquet:"e_tag,optional"`
	StorageClass *string    `parquet:"storage_class,optional"`
}

var written = time.Date(2026, 11, 24, 1, 2, 3, 4e6, time.UTC)

func rows(n int) (rows []row, expected []blob.Attrs) {
	for i := range n {
		size, etag, no, yes := int64(i), fmt.Sprint("etag", i%5), false, true
		r := row{Bucket: "b", Key: fmt.Sprintf("cache/nar/%d ü.nar", i), Size: &size, LastModified: &written, ETag: &etag}
		switch i % 4 {
		case 1:
			r.IsLatest, r.IsDelete = &yes, &no
		case 2:
			r.IsLatest = &no
		case 3:
			r.IsDelete = &yes
		}
		rows = append(rows, r)
		if i%4 < 2 {
			expected = append(expected, blob.Attrs{Key: r.Key, Size: size, ETag: etag, ModTime: written})
		}
	}
	return rows, expected
}

func TestRead(t *testing.T) {
	all, expected := rows(5000)
	for name, opts := range map[string][]parquet.WriterOption{
		"as the library likes":  nil,
		"version 1":             {parquet.DataPageVersion(1), parquet.Compression(&parquet.Snappy)},
		"version 2":             {parquet.DataPageVersion(2), parquet.Compression(&parquet.Snappy)},
		"gzip":                  {parquet.Compression(&parquet.Gzip)},
		"zstd, version 1":       {parquet.Compression(&parquet.Zstd), parquet.DataPageVersion(1)},
		"plain":                 {parquet.DefaultEncoding(&parquet.Plain)},
		"small pages":           {parquet.PageBufferSize(512)},
		"several row groups":    {parquet.MaxRowsPerRowGroup(777)},
		"version 1, row groups": {parquet.MaxRowsPerRowGroup(1024), parquet.DataPageVersion(1)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(t, write(t, all, opts...))
			require.NoError(t, err)
			assert.Equal(t, expected, got)
		})
	}
	t.Run("no rows", func(t *testing.T) {
		got, err := parse(t, write(t, []row{}))
		require.NoError(t, err)
		assert.Empty(t, got)
	})
	t.Run("the caller stops", func(t *testing.T) {
		n := 0
		for _, err := range read(t.Context(), bytes.NewReader(write(t, all)), "") {
			require.NoError(t, err)
			if n++; n == 3 {
				break
			}
		}
		assert.Equal(t, 3, n)
	})
}

// Only columns at the top level count, in whatever order they are.
func TestSchemas(t *testing.T) {
	type nested struct {
		Key  string `parquet:"key"`
		Size int64  `parquet:"size"`
	}
	type otherOrder struct {
		LastModified time.Time `parquet:"last_modified_date,timestamp(microsecond)"`
		Object       nested    `parquet:"a_object"`
		Tags         []string  `parquet:"tags"`
		Size         int64     `parquet:"size,delta"`
		Key          string    `parquet:"key,dict"`
	}
	got, err := parse(t, write(t, []otherOrder{
		{written, nested{"wrong", 7}, []string{"x", "y"}, 5, "nar/a"},
		{written, nested{"wrong", 7}, nil, 6, "nar/b"},
	}))
	require.NoError(t, err)
	assert.Equal(t, []blob.Attrs{{Key: "nar/a", Size: 5, ModTime: written}, {Key: "nar/b", Size: 6, ModTime: written}}, got)

	type plainTime struct {
		Key          string `parquet:"key"`
		Size         int64  `parquet:"size"`
		LastModified int64  `parquet:"last_modified_date"`
	}
	got, err = parse(t, write(t, []plainTime{{"a", 1, written.UnixMilli()}}))
	require.NoError(t, err)
	assert.Equal(t, []blob.Attrs{{Key: "a", Size: 1, ModTime: written}}, got)

	type nanoseconds struct {
		Key          string    `parquet:"key"`
		Size         int64     `parquet:"size"`
		LastModified time.Time `parquet:"last_modified_date,timestamp(nanosecond)"`
	}
	got, err = parse(t, write(t, []nanoseconds{{"a", 1, written}}))
	require.NoError(t, err)
	assert.Equal(t, written, got[0].ModTime)
}

func TestUnusableSchemas(t *testing.T) {
	type noKey struct {
		Object struct {
			Key string `parquet:"key"`
		} `parquet:"object"`
		Size         int64 `parquet:"size"`
		LastModified int64 `parquet:"last_modified_date"`
	}
	type noTime struct {
		Key  string `parquet:"key"`
		Size int64  `parquet:"size"`
	}
	type textSize struct {
		Key          string `parquet:"key"`
		Size         string `parquet:"size"`
		LastModified int64  `parquet:"last_modified_date"`
	}
	type manyKeys struct {
		Key          []string `parquet:"key"`
		Size         int64    `parquet:"size"`
		LastModified int64    `parquet:"last_modified_date"`
	}
	type group struct {
		Key          noTime `parquet:"key"`
		Size         int64  `parquet:"size"`
		LastModified int64  `parquet:"last_modified_date"`
	}
	type prefixes struct {
		Key          string `parquet:"key,delta"`
		Size         int64  `parquet:"size"`
		LastModified int64  `parquet:"last_modified_date"`
	}
	for _, test := range []struct {
		data     []byte
		expected string
	}{
		{write(t, []noKey{{}}), "expected the column key, got object.key, size, last_modified_date"},
		{write(t, []noTime{{}}), "expected the column last_modified_date"},
		{write(t, []textSize{{}}), "column size: expected one value of type INT64"},
		{write(t, []manyKeys{{}}), "column key: expected one value of type BYTE_ARRAY"},
		{write(t, []group{{}}), "expected the column key"},
		{write(t, []prefixes{{"a", 1, 1}, {"b", 1, 1}}), "the encoding DELTA_BYTE_ARRAY is not read"},
		{write(t, []row{{Key: "a"}}, parquet.Compression(&parquet.Brotli)), "expected a compression of none, snappy, gzip or zstd"},
	} {
		_, err := parse(t, test.data)
		assert.ErrorContains(t, err, test.expected)
	}
}

// A file that another implementation wrote: dictionaries, levels, several row
// groups, columns in an order of their own.
func TestForeignFile(t *testing.T) {
	data, err := os.ReadFile("testdata/foreign.parquet")
	require.NoError(t, err)
	got, err := parse(t, data)
	require.NoError(t, err)
	var expected []blob.Attrs
	for i := range 300 {
		if i%3 != 0 && i%5 != 0 {
			expected = append(expected, blob.Attrs{Key: fmt.Sprintf("cache/nar/%d ü.nar.zst", i), Size: int64(i), ETag: fmt.Sprint("etag", i%7),
				ModTime: time.Date(2026, 11, 1, 0, 0, i, 0, time.UTC)})
		}
	}
	assert.Equal(t, expected, got)
}

// bomb is a codec that compresses to something that is not what it claims.
type bomb struct {
	compress.Codec
	data []byte
}

func (b *bomb) Encode([]byte, []byte) ([]byte, error) { return b.data, nil }

func TestDamagedFiles(t *testing.T) {
	all, _ := rows(50)
	whole := write(t, all, parquet.Compression(&parquet.Snappy))
	t.Run("cut", func(t *testing.T) {
		for n := 0; n < len(whole); n += 5 {
			_, err := parse(t, whole[:n])
			assert.Error(t, err, n)
		}
	})
	t.Run("a footer of 4 GiB", func(t *testing.T) {
		data := bytes.Clone(whole)
		copy(data[len(data)-8:], "\xff\xff\xff\xff")
		_, err := parse(t, data)
		assert.ErrorContains(t, err, "expected the end of a Parquet file")
	})
	t.Run("a bomb", func(t *testing.T) {
		zeros := make([]byte, pageLimit+1)
		for _, codec := range []compress.Codec{&parquet.Snappy, &parquet.Gzip, &parquet.Zstd} {
			data, err := codec.Encode(nil, zeros)
			require.NoError(t, err)
			_, err = parse(t, write(t, all, parquet.Compression(&bomb{codec, data})))
			assert.Error(t, err, codec)
		}
	})
	t.Run("every byte another", func(t *testing.T) {
		for n := 0; n < len(whole); n += 5 {
			data := bytes.Clone(whole)
			data[n] ^= 0xff
			_, _ = parse(t, data) // it returns
		}
	})
}

// What a few bytes claim is bounded before anything is allocated for it.
func TestClaims(t *testing.T) {
	varint := func(v uint64) string {
		var out []byte
		for ; v >= 0x80; v >>= 7 {
			out = append(out, byte(v)|0x80)
		}
		return string(append(out, byte(v)))
	}
	for name, text := range map[string]string{
		"a long string":            "\x18" + varint(math.MaxInt32),
		"a long list":              "\x19\xfc" + varint(math.MaxInt32),
		"a long list of booleans":  "\x19\xf1" + varint(math.MaxInt32),
		"deep structures":          strings.Repeat("\x1c", 100),
		"deep lists":               "\x19" + strings.Repeat("\x19", 100),
		"a map":                    "\x1b" + varint(1<<30) + "\x88",
		"no end":                   "\x15",
		"an endless number":        "\x15" + strings.Repeat("\xff", 20),
		"nothing":                  "",
		"an unknown kind of value": "\x1f",
	} {
		_, err := structLength([]byte(text), elementsLimit)
		assert.ErrorIs(t, err, errBounds, name)
	}
	n, err := structLength([]byte("\x15\x02\x18\x01a\x00rest"), elementsLimit)
	require.NoError(t, err)
	assert.Equal(t, 6, n)

	assert.NoError(t, checkRuns([]byte(varint(10<<1)+"\x01"), 1))
	assert.NoError(t, checkRuns([]byte(varint(2<<1|1)+"ab"), 1))
	assert.ErrorIs(t, checkRuns([]byte(varint(1<<32)+"\x01"), 1), errBounds)
	assert.ErrorIs(t, checkRuns([]byte(strings.Repeat(varint(valuesLimit)+"\x01", 3)), 1), errBounds)
	assert.ErrorIs(t, checkRuns([]byte("\x02\x01"), 33), errBounds)
	assert.ErrorIs(t, checkDelta([]byte(varint(128)+varint(4)+varint(1<<31))), errBounds)
	assert.ErrorIs(t, checkDelta([]byte(varint(1<<31)+varint(4)+varint(1))), errBounds)
	assert.NoError(t, checkDelta([]byte(varint(128)+varint(4)+varint(1000))))
}

func FuzzRead(f *testing.F) {
	all, _ := rows(2) // go test minimizes long inputs for most of its time
	for _, opts := range [][]parquet.WriterOption{
		nil, {parquet.DataPageVersion(1), parquet.Compression(&parquet.Snappy)}, {parquet.Compression(&parquet.Gzip)},
		{parquet.DefaultEncoding(&parquet.Plain), parquet.MaxRowsPerRowGroup(3)},
	} {
		f.Add(write(f, all, opts...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = parse(t, data)
	})
}
