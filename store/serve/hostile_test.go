package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
)

// TestChangedArchive sends nothing under the ETag of an archive that has been
// replaced since the ETag was read.
func TestChangedArchive(t *testing.T) {
	const key, before, after = "nar/x.nar", "the first contents", "something else!!!!"
	b := memblob.New()
	put := func(text string) {
		_, err := b.Put(context.Background(), key, strings.NewReader(text), blob.PutOptions{})
		require.NoError(t, err)
	}
	put(before)
	replace := false
	c, err := store.New(blob.Intercept(b, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
		err := do(ctx)
		if replace && call.Op == "Head" {
			put(after)
		}
		return err
	}), store.Settings{})
	require.NoError(t, err)
	g := newGateway(t, c, serve.Options{})
	etag := g.get(t, "/"+key).header.Get("ETag")
	replace = true
	got := g.get(t, "/"+key, "Range: bytes=4-8")
	assert.Equal(t, 503, got.status)
	assert.Empty(t, got.header.Get("ETag"))
	replace = false
	got = g.get(t, "/"+key, "Range: bytes=4-8", "If-Range: "+etag)
	assert.Equal(t, 200, got.status, "the whole of the new one")
	assert.Equal(t, after, got.body)
	assert.NotEqual(t, etag, got.header.Get("ETag"))
	assert.Equal(t, 412, g.get(t, "/"+key, "If-Match: "+etag).status)
}

// TestChangedUpstream is the same for an archive of an upstream whose narinfo
// the gateway does not know, so that nothing but the ETag is known of it.
func TestChangedUpstream(t *testing.T) {
	p := newPeer(t, "none")
	p.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/nar/x.nar" {
			return false
		}
		w.Header().Set("ETag", fmt.Sprintf("%q", r.Method)) // another one for GET
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "12345")
		return true
	}
	g := newGateway(t, openCache(t, "mem://"), serve.Options{Upstreams: []serve.Upstream{p.upstream(t)}})
	got := g.get(t, "/nar/x.nar")
	assert.True(t, got.err != nil || got.status == 503, "%d %q", got.status, got.body)
}

// TestHeadersOfPeers keeps the headers of buckets and upstreams from clients:
// all that they learn is what the gateway says of an object.
func TestHeadersOfPeers(t *testing.T) {
	info := corpusInfo(t, "none")
	meta, nar := "/"+layout.NarInfoKey(info.Path.HashPart()), "/"+info.URL
	p := newPeer(t, "none")
	p.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		h := w.Header()
		for name, value := range map[string]string{
			"Content-Type": "text/html", "Set-Cookie": "session=evil", "Location": "http://evil.example/", "X-Evil": "1",
			"Content-Disposition": "attachment; filename=evil", "Access-Control-Allow-Origin": "*", "Cache-Control": "max-age=31536000",
			"WWW-Authenticate": "Basic realm=evil", "Refresh": "0; url=http://evil.example/", "Strict-Transport-Security": "max-age=1",
		} {
			h.Set(name, value)
		}
		return false
	}
	allowed := map[string]bool{
		"Accept-Ranges": true, "Cache-Control": true, "Content-Length": true, "Content-Type": true, "Date": true, "Etag": true, "Last-Modified": true, "Vary": true,
	}
	for name, g := range map[string]*gateway{
		"upstream": newGateway(t, openCache(t, "mem://"), serve.Options{Upstreams: []serve.Upstream{p.upstream(t)}}),
		"bucket":   newGateway(t, openCache(t, p.web.URL), serve.Options{}),
	} {
		for _, path := range []string{"/nix-cache-info", meta, nar} {
			got := g.get(t, path)
			require.Equal(t, 200, got.status, "%s %s", name, path)
			for header := range got.header {
				assert.True(t, allowed[header], "%s %s: %s", name, path, header)
			}
			assert.Equal(t, layout.KindOf(path[1:]).ContentType(), got.header.Get("Content-Type"))
			assert.NotEqual(t, "max-age=31536000", got.header.Get("Cache-Control"))
		}
	}
}

// TestSmuggledRequests sends requests whose ends two servers could see at
// different places, and headers that hide in others. The second request, which
// hides in the first, is never answered with the rights of the first.
func TestSmuggledRequests(t *testing.T) {
	token, hash := serve.NewToken()
	tokens := tokenFile(t, "ci read,push "+hash)
	g := newGateway(t, openCache(t, "mem://"), serve.Options{Push: &serve.Push{}, Auth: &serve.Auth{Verifiers: []serve.TokenVerifier{tokens}}})
	auth := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+token)) + "\r\n"
	const hidden = "GET /nix-cache-info HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, text := range map[string]string{
		"two lengths":            "PUT /nix-cache-info HTTP/1.1\r\nHost: x\r\n" + auth + fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"length and chunks":      "PUT /nix-cache-info HTTP/1.1\r\nHost: x\r\n" + auth + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", len(hidden)+5) + hidden,
		"chunks that are not":    "PUT /nix-cache-info HTTP/1.1\r\nHost: x\r\n" + auth + "Transfer-Encoding: xchunked\r\n\r\n" + hidden,
		"a negative length":      "PUT /nix-cache-info HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Length: -1\r\n\r\n" + hidden,
		"a folded header":        "GET /absent HTTP/1.1\r\nHost: x\r\n" + auth + "X: y\r\n Content-Length: 5\r\n\r\n" + hidden,
		"a line feed in a value": "GET /absent HTTP/1.1\r\nHost: x\r\n" + auth + "X: y\nEvil: 1\r\n\r\n" + hidden,
		"a space before a colon": "PUT /nix-cache-info HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Length : 5\r\n\r\n" + hidden,
		"two hosts":              "GET /absent HTTP/1.1\r\nHost: x\r\nHost: y\r\n" + auth + "\r\n" + hidden,
		"a long header":          "GET /absent HTTP/1.1\r\nHost: x\r\n" + auth + "X: " + strings.Repeat("y", 2<<20) + "\r\n\r\n" + hidden,
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", g.web.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			go func() { _, _ = io.WriteString(conn, text) }()
			answers := bufio.NewReader(conn)
			for {
				resp, err := http.ReadResponse(answers, nil)
				if err != nil {
					return // the connection is closed
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				assert.False(t, bytes.Contains(body, []byte("StoreDir")), "%s", body)
				assert.Empty(t, resp.Header.Get("Evil"))
				if err != nil || resp.Close || resp.StatusCode == http.StatusUnauthorized { // the hidden one, without rights
					return
				}
			}
		})
	}
}

// TestHeadersInTheLog writes one line for a request whose headers and path hold
// line breaks.
func TestHeadersInTheLog(t *testing.T) {
	var lines bytes.Buffer
	s, err := serve.New(openCache(t, "mem://"), serve.Options{Logger: textLogger(&lines)})
	require.NoError(t, err)
	defer s.Close()
	r := httptest.NewRequest(http.MethodGet, "/x%0a%1b[31mlevel=ERROR", http.NoBody)
	r.Header.Set("User-Agent", "nix\nlevel=ERROR msg=evil\x1b[31m\xff")
	s.ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, 1, strings.Count(lines.String(), "\n"), lines.String())
	assert.NotContains(t, lines.String(), "\x1b")
	assert.NotContains(t, lines.String(), "\xff")
}
