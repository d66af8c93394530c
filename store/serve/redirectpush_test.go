package serve_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// newS3Gateway serves a bucket of a server at localhost that treats pins in a
// way, with pushes redirected.
func newS3Gateway(t *testing.T, pins fakes3.Pins) (*gateway, *fakes3.Server, blob.Bucket) {
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	server := storetest.NewS3(t, fakes3.Options{Buckets: []string{"bucket"}, Pins: pins})
	endpoint := strings.Replace(server.Endpoint(), "127.0.0.1", "localhost", 1)
	c := openCache(t, "s3://bucket/cache?retry-attempts=1&endpoint="+endpoint)
	g := newGateway(t, c, serve.Options{Push: &serve.Push{}, Auth: everything, Redirect: &serve.Redirect{Pushes: true}})
	return g, server, c.Bucket()
}

// send sends a body to a URL.
func send(t *testing.T, url string, body []byte) int {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode
}

// TestRedirectedPush sends an archive past the gateway, which verifies it before
// it publishes the path.
func TestRedirectedPush(t *testing.T) {
	const waits = "Expect: 100-continue"
	g, _, bucket := newS3Gateway(t, fakes3.PinsEnforced)
	s := newSample(t, "x", "contents", "xz")
	require.Equal(t, 404, g.get(t, "/"+s.info.URL).status)
	got := g.put(t, s.info.URL, s.file, waits)
	require.Equal(t, 307, got.status, got.body)
	to := got.header.Get("Location")
	assert.Contains(t, to, "localhost")
	assert.Equal(t, "no-store", got.header.Get("Cache-Control"))
	require.Equal(t, 409, g.put(t, s.key(), []byte(s.text(t))).status, "before the archive")
	assert.Equal(t, 400, send(t, to, []byte("other content")))
	require.Equal(t, 409, g.put(t, s.key(), []byte(s.text(t))).status)
	require.Equal(t, 200, send(t, to, s.file))
	require.Equal(t, 201, g.put(t, s.key(), []byte(s.text(t))).status)
	require.Equal(t, 307, g.get(t, "/"+s.info.URL).status, "the miss from before is forgotten")
	requireSound(t, bucket)
	for attrs, err := range bucket.List(t.Context(), blob.ListOptions{Prefix: layout.ControlPrefix + "serve/"}) {
		require.NoError(t, err)
		assert.Fail(t, "the probe stays", attrs.Key)
	}

	// What has the right hash but is not a NAR, or is a bomb, is stored under a
	// key that nothing will refer to.
	for _, bad := range []*sample{newSample(t, "y", "y", "none"), newSample(t, "z", "z", "xz")} {
		bad.setFile([]byte("not a NAR"))
		got := g.put(t, bad.info.URL, bad.file, waits)
		require.Equal(t, 307, got.status)
		require.Equal(t, 200, send(t, got.header.Get("Location"), bad.file))
		require.Equal(t, 422, g.put(t, bad.key(), []byte(bad.text(t))).status)
	}

	// These stay here.
	other := newSample(t, "other", "other", "zstd")
	assert.Equal(t, 400, g.put(t, "nar/x.nar.xz", other.file, waits).status)
	assert.Equal(t, 201, g.put(t, other.info.URL, other.file).status, "a client that does not wait")
	here := httptest.NewRequest(http.MethodPut, "/"+other.info.URL, bytes.NewReader(other.file))
	here.Host = "localhost:8080" // the host of the bucket
	here.Header.Set("Expect", "100-continue")
	answer := httptest.NewRecorder()
	g.ServeHTTP(answer, here)
	assert.Equal(t, 201, answer.Code)
}

// TestPushesStay where the server does not enforce the content, or does not say.
func TestPushesStay(t *testing.T) {
	for _, pins := range []fakes3.Pins{fakes3.PinsRefused, fakes3.PinsIgnored} {
		g, server, bucket := newS3Gateway(t, pins)
		for range 2 {
			s := newSample(t, "x", "contents", "xz")
			require.Equal(t, 201, g.put(t, s.info.URL, s.file, "Expect: 100-continue").status)
			require.Less(t, g.put(t, s.key(), []byte(s.text(t))).status, 300)
		}
		requireSound(t, bucket)
		probes := 0
		for _, r := range server.Requests() {
			if strings.Contains(r.Key, "serve/probe") && r.Op == "PutObject" {
				probes++
			}
		}
		assert.LessOrEqual(t, probes, 2, "it asks once")
	}
	_, err := serve.New(openCache(t, "mem://"), serve.Options{Push: &serve.Push{}, Redirect: &serve.Redirect{Pushes: true}})
	require.ErrorContains(t, err, "redirects")
}
