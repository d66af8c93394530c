package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

func TestRemoteSigner(t *testing.T) {
	key, err := narinfo.GenerateKey("cache-1", nil)
	require.NoError(t, err)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fingerprint, err := io.ReadAll(r.Body)
		sig, signErr := key.Sign(r.Context(), fingerprint)
		if err != nil || signErr != nil || r.URL.Path != "/sign" {
			http.Error(w, "cannot sign", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, sig.String()+"\n")
	}))
	defer service.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	require.NoError(t, os.WriteFile(file, []byte("hi\n"), 0o600))
	cacheURL := "file://" + filepath.ToSlash(filepath.Join(dir, "cache"))

	refused := remote{service.Client(), service.URL, "cache-1"}
	require.ErrorContains(t, add(t.Context(), io.Discard, refused, cacheURL, file), "500")

	var out bytes.Buffer
	require.NoError(t, add(t.Context(), &out, remote{service.Client(), service.URL + "/sign", "cache-1"}, cacheURL, file))
	path, err := storepath.Default.Parse(strings.TrimSpace(out.String()))
	require.NoError(t, err)
	cache, err := store.Open(t.Context(), cacheURL)
	require.NoError(t, err)
	defer cache.Close()
	info, err := cache.NarInfo(t.Context(), path)
	require.NoError(t, err)
	require.Len(t, info.Signatures, 1)
	info.CA = storepath.ContentAddress{} // which would do without a signature
	assert.NoError(t, narinfo.TrustedKeys{key.Public()}.Verify(&info.PathInfo))
}
