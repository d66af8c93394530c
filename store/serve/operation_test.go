package serve_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
)

// presigning is a bucket that presigns URLs of a host.
type presigning struct {
	blob.Bucket
	host   string
	scheme string // https where it is empty
}

func (p presigning) PresignGet(_ context.Context, key string, _ time.Duration) (string, error) {
	return (&url.URL{Scheme: cmp.Or(p.scheme, "https"), Host: p.host, Path: "/" + key}).String(), nil
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
		c, err := store.New(presigning{Bucket: main.Bucket(), host: tt.target}, store.Settings{})
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
	c, err := store.New(presigning{Bucket: main.Bucket(), host: "s3.example.org"}, store.Settings{})
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

// TestStalledPush ends a push whose client sends nothing more, or less than it
// has announced, whatever the object and wherever its reader stands.
func TestStalledPush(t *testing.T) {
	s := newSample(t, "stalled", strings.Repeat("stalled", 1000), "zstd")
	plain := newSample(t, "stalled", strings.Repeat("stalled", 1000), "none")
	for name, tt := range map[string]struct {
		key  string
		body []byte
	}{
		"archive":              {s.info.URL, s.file},
		"uncompressed archive": {plain.info.URL, plain.file},
		"narinfo":              {s.key(), []byte(s.text(t))},
		"log":                  {"log/" + strings.Repeat("0", 32) + "-x.drv", []byte("some lines of a log")},
	} {
		for _, n := range []int{0, len(tt.body) / 2, len(tt.body) - 1} {
			for closes, status := range map[bool]int{false: 408, true: 400} {
				t.Run(fmt.Sprintf("%s after %d bytes, closed %v", name, n, closes), func(t *testing.T) {
					t.Parallel()
					g, fault := newPushGateway(t, serve.Options{Limits: serve.Limits{Stall: time.Second}})
					conn, err := net.Dial("tcp", g.web.Listener.Addr().String())
					require.NoError(t, err)
					defer conn.Close()
					_, err = fmt.Fprintf(conn, "PUT /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", tt.key, len(tt.body), tt.body[:n])
					require.NoError(t, err)
					if closes {
						require.NoError(t, conn.(*net.TCPConn).CloseWrite())
					}
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err == nil {
						resp.Body.Close()
						assert.Equal(t, status, resp.StatusCode)
					} else { // the server may give up a closed connection first
						assert.True(t, closes, err)
					}
					assert.Zero(t, fault.Count("Commit"))
					requireEmpty(t, fault)
				})
			}
		}
	}
}

// TestStalledDownload breaks a download off whose client takes nothing more,
// and lets one that is slow go on.
func TestStalledDownload(t *testing.T) {
	b := memblob.New()
	const size = 64 << 20 // more than sockets buffer
	_, err := b.Put(t.Context(), "nar/x.nar", bytes.NewReader(make([]byte, size)), blob.PutOptions{})
	require.NoError(t, err)
	c, err := store.New(b, store.Settings{})
	require.NoError(t, err)
	s, err := serve.New(c, serve.Options{Limits: serve.Limits{Stall: 200 * time.Millisecond}})
	require.NoError(t, err)
	defer s.Close()
	ended := make(chan any, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			reason := recover()
			ended <- reason
			if reason != nil {
				panic(reason)
			}
		}()
		s.ServeHTTP(w, r)
	}))
	web.Config.ErrorLog = quiet
	defer web.Close()
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /nar/x.nar HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, http.ErrAbortHandler, <-ended)
	n, err := io.Copy(io.Discard, conn) // what was on its way
	assert.Less(t, n, int64(size), "%v", err)
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
