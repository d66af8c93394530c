package verify_test

import (
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
)

// rich is the name of a cache of the corpus with more kinds of objects.
const rich = "rich"

// namedCache returns a cache of the corpus, or the rich one.
func namedCache(t testing.TB, name string) *store.Cache {
	if name == rich {
		return richCache(t)
	}
	return corpusCache(t, name)
}

// richCache returns the rich cache, which is made once.
func richCache(t testing.TB) *store.Cache {
	t.Helper()
	all, ok := readCorpus.Load(rich)
	if !ok {
		all = makeRich(t)
		readCorpus.Store(rich, all)
	}
	return newCache(t, bucketOf(t, all.(objects)), compressedLogs)
}

func compressedLogs(s *store.Settings) { s.LogCompression = "zstd" }

// makeRich adds to a cache of the corpus what newer writers store: a realisation
// of the second generation, compressed logs, and an archive in pieces with an
// index.
func makeRich(t testing.TB) objects {
	t.Helper()
	b := corpusCache(t, "full-xz").Bucket()
	c := newCache(t, b, compressedLogs)
	require.NoError(t, c.PutRealisation(t.Context(), &narinfo.Realisation{
		ID:      narinfo.DrvOutput{DrvPath: path("00000000000000000000000000000000-hello.drv"), Output: "out"},
		OutPath: infoOf(t, b, hello).Path,
	}))
	for key := range contentsOf(t, b) {
		if name, ok := strings.CutPrefix(key, layout.LogPrefix); ok {
			require.NoError(t, c.PutLog(t.Context(), path(name), strings.NewReader(strings.Repeat("it says "+name+"\n", 9))))
		}
	}

	info := infoOf(t, b, unshared)
	archive, err := c.NAR(t.Context(), info.Path)
	require.NoError(t, err)
	defer archive.Close()
	content, err := io.ReadAll(archive)
	require.NoError(t, err)
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true))
	require.NoError(t, err)
	half := len(content) / 2
	file := encoder.EncodeAll(content[half:], encoder.EncodeAll(content[:half], nil))
	require.NoError(t, b.Delete(t.Context(), info.URL))
	info.Compression, info.FileSize, info.FileHash = "zstd", int64(len(file)), narinfoHash(string(file))
	info.URL = layout.ArchiveKey(info.FileHash, info.Compression)
	put(t, b, info.URL, file)
	text, err := info.MarshalText()
	require.NoError(t, err)
	put(t, b, infoKey(info), text)
	require.NoError(t, c.PutIndex(t.Context(), info.Path))
	all := objects{}
	for key, data := range contentsOf(t, b) {
		attrs, err := b.Head(t.Context(), key)
		require.NoError(t, err)
		all[key] = object{data, attrs.ContentEncoding}
	}
	return all
}
