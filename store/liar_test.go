package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/codec"
)

// liar is a source that says one thing and gives another.
type liar struct {
	info    *narinfo.PathInfo
	archive io.Reader
}

func (l *liar) String() string          { return "liar" }
func (l *liar) StoreDir() storepath.Dir { return storepath.Default }
func (l *liar) PathInfo(context.Context, storepath.Path) (*narinfo.PathInfo, error) {
	return l.info, nil
}
func (l *liar) NAR(context.Context, storepath.Path) (io.ReadCloser, error) {
	return io.NopCloser(l.archive), nil
}
func (l *liar) AllPaths(context.Context) iter.Seq2[storepath.Path, error] {
	return func(yield func(storepath.Path, error) bool) { yield(l.info.Path, nil) }
}

// endless repeats its text without end.
type endless struct {
	text []byte
	pos  int
	n    int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.text[e.pos:])
	e.pos = (e.pos + n) % len(e.text)
	e.n += int64(n)
	return n, nil
}

// TestLiarsPublishNothing gives claims and bytes that do not belong together,
// from a store and through a cache, and requires that nothing becomes visible.
func TestLiarsPublishNothing(t *testing.T) {
	good := newObject(t, 1, []byte(strings.Repeat("the truth ", 1000)))
	other := fileNAR(t, []byte(strings.Repeat("the truth.", 1000)))
	require.Len(t, other, len(good.archive))
	change := func(f func(*narinfo.PathInfo)) *narinfo.PathInfo {
		info := good.info.Clone()
		f(info)
		return info
	}
	unordered := makeUnordered(t)
	for _, tc := range []struct {
		name    string
		info    *narinfo.PathInfo
		archive []byte
		want    error
	}{
		{"another archive of the same size", good.info, other, store.ErrMismatch},
		{"a wrong NarHash", change(func(i *narinfo.PathInfo) { i.NarHash = nixhash.Sum(nixhash.SHA256, nil) }), good.archive, store.ErrMismatch},
		{"a NarSize too small", change(func(i *narinfo.PathInfo) { i.NarSize-- }), good.archive, store.ErrMismatch},
		{"a NarSize too large", change(func(i *narinfo.PathInfo) { i.NarSize += 8 }), good.archive, store.ErrMismatch},
		// Whether size or structure is found wrong first is left open.
		{"a truncated archive", good.info, good.archive[:len(good.archive)-8], nil},
		{"an empty archive", good.info, nil, nil},
		{"bytes after the archive", good.info, append(bytes.Clone(good.archive), 0), nil},
		{"unordered entries with the right hash", change(func(i *narinfo.PathInfo) {
			i.NarHash, i.NarSize = nixhash.Sum(nixhash.SHA256, unordered), int64(len(unordered))
		}), unordered, nil},
		{"a content address that makes another path", change(func(i *narinfo.PathInfo) {
			i.CA = storepath.ContentAddress{Method: storepath.MethodNAR, Hash: i.NarHash}
		}), good.archive, store.ErrMismatch},
		{"a flat content address of other contents", flatInfo(t, "something else", good), good.archive, store.ErrMismatch},
		{"a path of another store directory", change(func(i *narinfo.PathInfo) { i.StoreDir = "/other/store" }), good.archive, store.ErrStoreDir},
	} {
		t.Run("store/"+tc.name, func(t *testing.T) {
			requireRefused(t, &liar{tc.info, bytes.NewReader(tc.archive)}, tc.info.Path, tc.want)
		})
		for _, compression := range []string{"none", "zstd", "xz"} {
			t.Run(compression+" cache/"+tc.name, func(t *testing.T) {
				src := forge(t, tc.info, encode(t, compression, tc.archive), compression)
				requireRefused(t, src, tc.info.Path, tc.want)
			})
		}
	}
	t.Run("an endless archive", func(t *testing.T) {
		e := &endless{text: good.archive}
		requireRefused(t, &liar{good.info, e}, good.info.Path, nil)
		require.Less(t, e.n, int64(8<<20), "read on far beyond the claim")
	})
	t.Run("an endless file of valid frames that hold nothing", func(t *testing.T) {
		frame := append([]byte{0x50, 0x2a, 0x4d, 0x18, 0xf8, 0xff, 0x00, 0x00}, make([]byte, 0xfff8)...)
		src := forge(t, good.info, bytes.Repeat(frame, 500), "zstd")
		requireRefused(t, src, good.info.Path, nil)
	})
	t.Run("a bomb", func(t *testing.T) {
		src := forge(t, good.info, encode(t, "zstd", make([]byte, 256<<20)), "zstd")
		requireRefused(t, src, good.info.Path, store.ErrMismatch)
	})
	t.Run("a narinfo of another path", func(t *testing.T) {
		b := memblob.New()
		text, err := (&narinfo.NarInfo{PathInfo: *good.info, URL: "nar/x", Compression: "none"}).MarshalText()
		require.NoError(t, err)
		asked := madeUpPath(99, "asked-for")
		_, err = b.Put(t.Context(), asked.HashPart()+".narinfo", bytes.NewReader(text), blob.PutOptions{})
		require.NoError(t, err)
		requireRefused(t, newCache(t, b, store.Settings{}), asked, store.ErrMismatch)
	})
	t.Run("a source that answers with another path", func(t *testing.T) {
		requireRefused(t, &liar{good.info, bytes.NewReader(good.archive)}, madeUpPath(99, "asked-for"), store.ErrMismatch)
	})
	t.Run("a file with another FileHash", func(t *testing.T) {
		file := encode(t, "zstd", good.archive)
		src := forgeInfo(t, &narinfo.NarInfo{PathInfo: *good.info, URL: "nar/x.nar.zst", Compression: "zstd",
			FileHash: nixhash.Sum(nixhash.SHA256, nil), FileSize: int64(len(file))}, file)
		requireRefused(t, src, good.info.Path, store.ErrMismatch)
	})
}

func requireRefused(t *testing.T, src store.Source, p storepath.Path, want error) {
	t.Helper()
	for _, settings := range []store.Settings{{}, {Compression: "gzip"}, {WriteListing: true}} {
		b := memblob.New()
		_, err := store.Copy(t.Context(), newCache(t, b, settings), src, []storepath.Path{p}, store.CopyOptions{})
		require.Error(t, err)
		if want != nil {
			require.ErrorIs(t, err, want)
		}
		report := requireSound(t, b)
		require.Zero(t, report.Paths)
		require.Zero(t, report.Archives, "an archive was stored that does not hold what was claimed")
		if _, ok := src.(*liar); ok {
			return // its archive can be read once
		}
	}
}

func encode(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := codec.NewWriter(name, &buf, codec.WriterOptions{})
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// forge makes a cache that claims that a file is the archive of a path.
func forge(t testing.TB, info *narinfo.PathInfo, file []byte, compression string) *store.Cache {
	t.Helper()
	return forgeInfo(t, &narinfo.NarInfo{PathInfo: *info, URL: "nar/forged", Compression: narinfo.Compression(compression)}, file)
}

func forgeInfo(t testing.TB, info *narinfo.NarInfo, file []byte) *store.Cache {
	t.Helper()
	b := memblob.New()
	text, err := info.MarshalText()
	require.NoError(t, err)
	for key, data := range map[string][]byte{info.Path.HashPart() + ".narinfo": text, info.URL: file} {
		_, err := b.Put(t.Context(), key, bytes.NewReader(data), blob.PutOptions{})
		require.NoError(t, err)
	}
	return newCache(t, b, store.Settings{})
}

// makeUnordered makes a NAR that is well-formed but for the order of its
// entries.
func makeUnordered(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := nar.NewWriter(&buf)
	require.NoError(t, w.WriteHeader(&nar.Header{Type: nar.TypeDirectory}))
	for _, name := range []string{"aaaa", "bbbb"} {
		require.NoError(t, w.WriteHeader(&nar.Header{Path: name, Type: nar.TypeSymlink, LinkTarget: "x"}))
	}
	require.NoError(t, w.Close())
	text := buf.Bytes()
	text = bytes.Replace(text, []byte("aaaa"), []byte("zzzz"), 1)
	require.Error(t, func() error { _, err := nar.List(bytes.NewReader(text)); return err }())
	return text
}

func flatInfo(t testing.TB, contents string, of object) *narinfo.PathInfo {
	t.Helper()
	info := of.info.Clone()
	info.CA = storepath.ContentAddress{Method: storepath.MethodFlat, Hash: nixhash.Sum(nixhash.SHA256, []byte(contents))}
	var err error
	info.Path, err = storepath.Default.FromContentAddress("flat", info.CA, storepath.References{})
	require.NoError(t, err)
	return info
}

// TestReadersSeeAnErrorBeforeTheEnd reads from caches that lie. The reader may
// get bytes, but never a clean end.
func TestReadersSeeAnErrorBeforeTheEnd(t *testing.T) {
	good := newObject(t, 1, bytes.Repeat([]byte("0123456789abcdef"), 100_000))
	file := encode(t, "zstd", good.archive)
	for name, info := range map[string]*narinfo.NarInfo{
		"NarHash":  {PathInfo: with(good.info, func(i *narinfo.PathInfo) { i.NarHash = nixhash.Sum(nixhash.SHA256, nil) })},
		"NarSize":  {PathInfo: with(good.info, func(i *narinfo.PathInfo) { i.NarSize -= 16 })},
		"larger":   {PathInfo: with(good.info, func(i *narinfo.PathInfo) { i.NarSize += 16 })},
		"FileHash": {PathInfo: *good.info, FileHash: nixhash.Sum(nixhash.SHA256, nil)},
		"FileSize": {PathInfo: *good.info, FileSize: 5},
	} {
		t.Run(name, func(t *testing.T) {
			info.URL, info.Compression = "nar/x", "zstd"
			c := forgeInfo(t, info, file)
			r, err := c.NAR(t.Context(), info.Path)
			if err == nil {
				defer r.Close()
				_, err = io.Copy(io.Discard, r)
			}
			require.ErrorIs(t, err, store.ErrMismatch)
		})
	}
	for _, n := range []int{0, 1, 10, len(file) / 2, len(file) - 1} {
		t.Run(fmt.Sprintf("cut at %d", n), func(t *testing.T) {
			c := forge(t, good.info, file[:n], "zstd")
			r, err := c.NAR(t.Context(), good.info.Path)
			require.NoError(t, err)
			defer r.Close()
			_, err = io.ReadAll(r)
			require.Error(t, err)
			require.False(t, errors.Is(err, io.EOF), err)
		})
	}
}

func with(info *narinfo.PathInfo, change func(*narinfo.PathInfo)) narinfo.PathInfo {
	c := info.Clone()
	change(c)
	return *c
}

// TestContentAddressesVouchForContents reads paths whose name follows from their
// content address, without a trusted signature: they are good exactly when their
// contents have that address.
func TestContentAddressesVouchForContents(t *testing.T) {
	contents := []byte("the contents")
	o := newObject(t, 1, contents)
	strangers := narinfo.TrustedKeys{newKey(t, "stranger-1").Public()}
	for _, tc := range []struct {
		name   string
		method storepath.Method
		hash   nixhash.Hash
		want   error
	}{
		{"a tree", storepath.MethodNAR, nixhash.Sum(nixhash.SHA256, o.archive), nil},
		{"another tree", storepath.MethodNAR, nixhash.Sum(nixhash.SHA256, nil), store.ErrUntrusted},
		{"a tree in SHA-1", storepath.MethodNAR, nixhash.Sum(nixhash.SHA1, o.archive), nil},
		{"another tree in SHA-1", storepath.MethodNAR, nixhash.Sum(nixhash.SHA1, nil), store.ErrMismatch},
		{"a file", storepath.MethodFlat, nixhash.Sum(nixhash.SHA512, contents), nil},
		{"another file", storepath.MethodFlat, nixhash.Sum(nixhash.SHA512, nil), store.ErrMismatch},
		{"a text", storepath.MethodText, nixhash.Sum(nixhash.SHA256, contents), nil},
		{"another text", storepath.MethodText, nixhash.Sum(nixhash.SHA256, nil), store.ErrMismatch},
		{"a Git object, which nobody computes", storepath.MethodGit, nixhash.Sum(nixhash.SHA1, contents), store.ErrUntrusted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			info := o.info.Clone()
			info.CA = storepath.ContentAddress{Method: tc.method, Hash: tc.hash}
			var err error
			info.Path, err = storepath.Default.FromContentAddress("addressed", info.CA, storepath.References{})
			require.NoError(t, err)
			forged := forge(t, info, o.archive, "none")
			c := newCache(t, forged.Bucket(), store.Settings{TrustedKeys: strangers})
			r, err := c.NAR(t.Context(), info.Path)
			if err == nil {
				defer r.Close()
				_, err = io.Copy(io.Discard, r)
			}
			require.ErrorIs(t, err, tc.want)

			// A cache that trusts everything compares all the same.
			c = newCache(t, forged.Bucket(), store.Settings{})
			r, err = c.NAR(t.Context(), info.Path)
			require.NoError(t, err)
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			if lies := strings.HasPrefix(tc.name, "another"); lies {
				require.ErrorIs(t, err, store.ErrMismatch)
			} else {
				require.NoError(t, err)
			}
		})
	}
}
