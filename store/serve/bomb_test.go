package serve

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// TestBombs pushes archives of zeros that grow by decompression to thousands of
// times their size. Those that stay below the free bytes are taken.
func TestBombs(t *testing.T) {
	for _, tt := range []struct {
		compression narinfo.Compression
		free        int64
		status      int
	}{
		{"zstd", 1 << 20, 413}, {"xz", 1 << 20, 413}, {"br", 1 << 20, 413},
		{"zstd", inflationFree, 201}, {"none", 1 << 20, 201},
	} {
		var plain, file bytes.Buffer
		w := nar.NewWriter(&plain)
		require.NoError(t, w.WriteHeader(&nar.Header{Type: nar.TypeRegular, Size: 16 << 20}))
		_, err := io.Copy(w, bytes.NewReader(make([]byte, 16<<20)))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		enc, err := codec.NewWriter(string(tt.compression), &file, codec.WriterOptions{})
		require.NoError(t, err)
		_, err = enc.Write(plain.Bytes())
		require.NoError(t, err)
		require.NoError(t, enc.Close())
		sum := sha256.Sum256(file.Bytes())
		hash, err := nixhash.Parse("sha256:" + nixhash.EncodeNix32(sum[:]))
		require.NoError(t, err)

		b := memblob.New()
		c, err := store.New(b, store.Settings{})
		require.NoError(t, err)
		s, err := New(c, Options{Push: &Push{}, Auth: &Auth{Anonymous: AccessPush}})
		require.NoError(t, err)
		s.inflationFree = tt.free
		answer := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPut, "/"+layout.ArchiveKey(hash, tt.compression), &file)
		s.ServeHTTP(answer, r)
		require.Equal(t, tt.status, answer.Code, "%s: %s", tt.compression, answer.Body)
		if tt.status == 413 {
			for attrs := range b.List(t.Context(), blob.ListOptions{}) {
				require.NotEqual(t, layout.Archive, layout.KindOf(attrs.Key), attrs.Key)
			}
		}
		require.NoError(t, s.Close())
	}
}
