package serve_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
)

// presigning is a bucket that presigns URLs of a host.
type presigning struct {
	blob.Bucket
	host string
}

func (p presigning) PresignGet(_ context.Context, key string, _ time.Duration) (string, error) {
	return (&url.URL{Scheme: "https", Host: p.host, Path: "/" + key}).String(), nil
}

func (p presigning) PresignPut(ctx context.Context, key string, expires time.Duration) (string, error) {
	return p.PresignGet(ctx, key, expires)
}

// TestRedirect sends a client elsewhere only where the host differs, whatever
// the port: a client sends the credentials of its netrc to its host.
func TestRedirect(t *testing.T) {
	main, _ := faulty(t, "none")
	info := anyNarInfo(t, main)
	for _, tt := range []struct {
		target, host string
		status       int
	}{
		{"s3.example.org", "cache.example.org", 307},
		{"cache.example.org", "cache.example.org", 200},
		{"cache.example.org:9000", "CACHE.example.org.:8080", 200},
		{"[::1]:9000", "[::1]:8080", 200},
	} {
		c, err := store.New(presigning{main.Bucket(), tt.target}, store.Settings{})
		require.NoError(t, err)
		s, err := serve.New(c, serve.Options{Redirect: &serve.Redirect{}})
		require.NoError(t, err)
		r := httptest.NewRequest("GET", "/"+info.URL, http.NoBody)
		r.Host = tt.host
		r.SetBasicAuth("x", "secret")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		assert.Equal(t, tt.status, w.Code, tt)
		assert.NotContains(t, w.Header().Get("Location"), "secret")
		w = httptest.NewRecorder()
		r.Method = "HEAD"
		s.ServeHTTP(w, r)
		assert.Equal(t, 200, w.Code, tt)
		require.NoError(t, s.Close())
	}
	c, err := store.New(presigning{main.Bucket(), "s3.example.org"}, store.Settings{})
	require.NoError(t, err)
	for ttl, good := range map[time.Duration]bool{serve.MinRedirectTTL - 1: false, serve.MinRedirectTTL: true, 169 * time.Hour: false} {
		_, err := serve.New(c, serve.Options{Redirect: &serve.Redirect{TTL: ttl}})
		assert.Equal(t, good, err == nil, ttl)
	}
	assert.GreaterOrEqual(t, serve.MinRedirectTTL, 15*time.Minute)
}

// TestMetrics counts requests of clients and to the bucket.
func TestMetrics(t *testing.T) {
	c, _ := faulty(t, "none")
	registry := prometheus.NewRegistry()
	s, err := serve.New(c, serve.Options{Registerer: registry})
	require.NoError(t, err)
	defer s.Close()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/"+layout.NarInfoKey(anyNarInfo(t, c).Path.HashPart()), http.NoBody))
	families, err := registry.Gather()
	require.NoError(t, err)
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	for _, name := range []string{"requests_total", "sent_bytes_total", "first_byte_seconds", "bucket_requests_total", "received_bytes_total"} {
		assert.Contains(t, names, "nixs3_serve_"+name)
	}
}

// TestStalledPush ends a push whose client sends nothing more.
func TestStalledPush(t *testing.T) {
	g, fault := newPushGateway(t, serve.Options{Limits: serve.Limits{Stall: 200 * time.Millisecond}})
	conn, err := net.Dial("tcp", g.web.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	s := newSample(t, "stalled", "stalled", "zstd")
	_, err = fmt.Fprintf(conn, "PUT /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", s.info.URL, len(s.file), s.file[:len(s.file)-1])
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	resp.Body.Close()
	assert.GreaterOrEqual(t, resp.StatusCode, 400)
	assert.Zero(t, fault.Count("Commit"))
}

// TestSystemdSocket serves on a socket that the parent process has opened, as
// systemd does.
func TestSystemdSocket(t *testing.T) {
	if os.Getenv("LISTEN_FDS") != "" {
		listeners, err := serve.Listen(t.Context(), "systemd")
		require.NoError(t, err)
		require.Len(t, listeners, 1)
		ctx, cancel := context.WithCancel(t.Context())
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			cancel()
		})
		require.NoError(t, serve.Run(ctx, h, listeners, serve.RunOptions{}))
		return
	}
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no systemd")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	file, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, l.Close())
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -test.run '^TestSystemdSocket$'`, self)
	child.ExtraFiles = []*os.File{file}
	require.NoError(t, child.Start())
	resp, err := http.Get("http://" + l.Addr().String())
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusTeapot, resp.StatusCode)
	http.DefaultClient.CloseIdleConnections()
	assert.NoError(t, child.Wait())
}
