package serve_test

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/serve"
	"example.com/nixs3/store/storetest"
)

// openCache opens a cache that is closed when the test ends.
func openCache(t testing.TB, url string, opts ...store.Option) *store.Cache {
	t.Helper()
	c, err := store.Open(t.Context(), url, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// faulty returns a cache in memory with the objects of a cache of the corpus,
// whose bucket fails as planned.
func faulty(t testing.TB, name string) (*store.Cache, *storetest.FaultBucket) {
	t.Helper()
	b := memblob.New()
	dir := lab.Cache(t, name)
	require.NoError(t, filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		key, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		_, err = b.Put(context.Background(), filepath.ToSlash(key), strings.NewReader(string(data)), blob.PutOptions{})
		return err
	}))
	fault := storetest.NewFaultBucket(b, nil)
	c, err := store.New(fault, store.Settings{})
	require.NoError(t, err)
	return c, fault
}

// gateway is a Server behind a real listener.
type gateway struct {
	*serve.Server
	URL string
	web *httptest.Server
}

func newGateway(t testing.TB, c *store.Cache, opts serve.Options) *gateway {
	t.Helper()
	s, err := serve.New(c, opts)
	require.NoError(t, err)
	web := httptest.NewServer(s)
	t.Cleanup(func() { web.Close(); s.Close() })
	return &gateway{s, web.URL, web}
}

// answer is the whole of an answer.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of the connection
	length int64
}

// do sends a request with headers "Name: value". Redirects are not followed.
func (g *gateway) do(t testing.TB, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, g.URL, body)
	require.NoError(t, err)
	// As written, so that odd paths reach the server.
	p, query, _ := strings.Cut(path, "?")
	req.URL.Opaque = "//" + req.URL.Host + p
	req.URL.RawQuery = query
	for _, h := range headers {
		if name, value, ok := strings.Cut(h, ": "); ok {
			req.Header.Add(name, value)
		}
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, ExpectContinueTimeout: 0},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(data), err, resp.ContentLength}
}

func (g *gateway) get(t testing.TB, path string, headers ...string) answer {
	t.Helper()
	return g.do(t, http.MethodGet, path, nil, headers...)
}

// anyNarInfo returns a narinfo of a cache.
func anyNarInfo(t testing.TB, c *store.Cache) *narinfo.NarInfo {
	t.Helper()
	for info, err := range c.NarInfos(t.Context()) {
		require.NoError(t, err)
		return info
	}
	t.Fatal("the cache is empty")
	return nil
}

// quiet is a log that discards its lines.
var quiet = log.New(io.Discard, "", 0)

// textLogger writes log lines as text.
func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// tokenFile opens a token file with the given text.
func tokenFile(t testing.TB, text string) *serve.TokenFile {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	tokens, err := serve.OpenTokenFile(file, nil)
	require.NoError(t, err)
	return tokens
}
