package store_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/httpblob"
)

// TestOpenHTTPSettings reaches every setting of a HTTP cache from its URL and
// from an option.
func TestOpenHTTPSettings(t *testing.T) {
	var last atomic.Pointer[http.Request]
	var hang atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last.Store(r)
		if hang.Load() {
			<-r.Context().Done()
			return
		}
		fmt.Fprintln(w, "StoreDir: /nix/store")
	}))
	defer server.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	t.Setenv("HOME", dir)
	t.Setenv("NIX_CONF_DIR", dir)
	t.Setenv("NIX_USER_CONF_FILES", "")
	netrc := write("logins", "machine 127.0.0.1 login file password word")
	header := write("headers", "# comment\nX-Token: of the file\n\nX-Other: b\n")

	c, err := store.Open(t.Context(), server.URL+"?netrc-file="+netrc+"&header-file="+header)
	require.NoError(t, err)
	defer c.Close()
	user, password, _ := last.Load().BasicAuth()
	assert.Equal(t, "file word", user+" "+password)
	assert.Equal(t, "of the file", last.Load().Header.Get("X-Token"))

	c, err = store.Open(t.Context(), server.URL, store.WithHTTP(httpblob.Options{Header: http.Header{"X-Token": {"of the option"}}, Netrc: netrc}))
	require.NoError(t, err)
	defer c.Close()
	assert.Equal(t, "of the option", last.Load().Header.Get("X-Token"))
	user, _, _ = last.Load().BasicAuth()
	assert.Equal(t, "file", user)

	write("nix.conf", "netrc-file = "+netrc+"\n")
	c, err = store.Open(t.Context(), server.URL)
	require.NoError(t, err)
	defer c.Close()
	user, _, _ = last.Load().BasicAuth()
	assert.Equal(t, "file", user, "netrc-file of nix.conf")

	hang.Store(true)
	for name, open := range map[string]func() (*store.Cache, error){
		"URL": func() (*store.Cache, error) {
			return store.Open(t.Context(), server.URL+"?first-byte-timeout=30&retry-attempts=1")
		},
		"option": func() (*store.Cache, error) {
			return store.Open(t.Context(), server.URL, store.WithHTTP(httpblob.Options{Retry: blob.Retry{Attempts: 1, FirstByte: 30 * time.Millisecond}}))
		},
	} {
		_, err = open()
		require.ErrorIs(t, err, blob.ErrStalled, name)
	}
}

// TestRefusedIsNotMissing: only 403 may mean that there is nothing.
func TestRefusedIsNotMissing(t *testing.T) {
	path, err := storepath.ParseBase(strings.Repeat("a", 32) + "-name")
	require.NoError(t, err)
	for status, missing := range map[int]bool{404: true, 410: true, 403: true, 401: false, 407: false, 500: false, 405: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/nix-cache-info" {
				fmt.Fprintln(w, "StoreDir: /nix/store")
				return
			}
			w.WriteHeader(status)
		}))
		c, err := store.Open(t.Context(), server.URL+"?retry-attempts=1")
		require.NoError(t, err)
		_, err = c.NarInfo(t.Context(), path)
		require.Error(t, err)
		assert.Equal(t, missing, errors.Is(err, store.ErrNotFound), "%d: %v", status, err)
		require.NoError(t, c.Close())
		server.Close()
	}
}
