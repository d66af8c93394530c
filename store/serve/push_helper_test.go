package serve_test

import (
	"bytes"
	"crypto/sha256"
	"io"
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
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
	"example.com/nixs3/store/storetest"
)

// everything lets everybody read and push.
var everything = &serve.Auth{Anonymous: serve.AccessRead | serve.AccessPush}

// newPushGateway returns a gateway over an empty bucket, for everybody.
func newPushGateway(t testing.TB, opts serve.Options) (*gateway, *storetest.FaultBucket) {
	t.Helper()
	fault := storetest.NewFaultBucket(memblob.New(), nil)
	c, err := store.New(fault, store.Settings{})
	require.NoError(t, err)
	opts.Auth = everything
	if opts.Push == nil {
		opts.Push = &serve.Push{}
	}
	return newGateway(t, c, opts), fault
}

// sample is a path with its archive, as a client pushes it.
type sample struct {
	info *narinfo.NarInfo
	file []byte
}

func (s *sample) text(t testing.TB) string {
	t.Helper()
	text, err := s.info.MarshalText()
	require.NoError(t, err)
	return string(text)
}

func (s *sample) key() string { return layout.NarInfoKey(s.info.Path.HashPart()) }

// newSample makes a path of one file.
func newSample(t testing.TB, name, contents string, compression narinfo.Compression, refs ...storepath.Path) *sample {
	t.Helper()
	var plain bytes.Buffer
	w := nar.NewWriter(&plain)
	require.NoError(t, w.WriteHeader(&nar.Header{Type: nar.TypeRegular, Size: int64(len(contents))}))
	_, err := io.WriteString(w, contents)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return pack(t, name, plain.Bytes(), compression, refs...)
}

// pack makes a path of an archive.
func pack(t testing.TB, name string, plain []byte, compression narinfo.Compression, refs ...storepath.Path) *sample {
	t.Helper()
	var file bytes.Buffer
	enc, err := codec.NewWriter(string(compression), &file, codec.WriterOptions{})
	require.NoError(t, err)
	_, err = enc.Write(plain)
	require.NoError(t, err)
	require.NoError(t, enc.Close())
	sum := sha256.Sum256([]byte(name))
	p, err := storepath.ParseBase(nixhash.EncodeNix32(sum[:20]) + "-" + name)
	require.NoError(t, err)
	info := &narinfo.NarInfo{Compression: compression}
	info.StoreDir, info.Path, info.References = storepath.Default, p, refs
	info.NarHash, info.NarSize = hashOf(plain), int64(len(plain))
	s := &sample{info: info}
	s.setFile(file.Bytes())
	return s
}

// setFile replaces the compressed archive and what the narinfo says of it.
func (s *sample) setFile(data []byte) {
	s.file = data
	s.info.FileHash, s.info.FileSize = hashOf(data), int64(len(data))
	s.info.URL = layout.ArchiveKey(s.info.FileHash, s.info.Compression)
}

func hashOf(data []byte) nixhash.Hash {
	h := nixhash.New(nixhash.SHA256)
	h.Write(data)
	return h.Digest()
}

func (g *gateway) put(t testing.TB, path string, body []byte, headers ...string) answer {
	t.Helper()
	return g.do(t, "PUT", "/"+path, bytes.NewReader(body), headers...)
}

// push sends the archive and then the narinfo.
func (g *gateway) push(t testing.TB, s *sample) answer {
	t.Helper()
	if got := g.put(t, s.info.URL, s.file); got.status >= 300 {
		return got
	}
	return g.put(t, s.key(), []byte(s.text(t)))
}

// requireSound checks that a bucket holds nothing but a complete, true cache.
func requireSound(t testing.TB, b blob.Bucket) {
	t.Helper()
	_, err := storetest.CheckCache(t.Context(), b, storetest.CheckOptions{})
	require.NoError(t, err)
}

// requireEmpty checks that no path is visible.
func requireEmpty(t testing.TB, b blob.Bucket) {
	t.Helper()
	for attrs, err := range b.List(t.Context(), blob.ListOptions{}) {
		require.NoError(t, err)
		require.False(t, strings.HasSuffix(attrs.Key, ".narinfo"), attrs.Key)
	}
}
