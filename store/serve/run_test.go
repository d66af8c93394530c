package serve_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/serve"
)

// run runs a handler until the test ends and returns its address.
func run(t testing.TB, h http.Handler, o serve.RunOptions) string {
	t.Helper()
	listeners, err := serve.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve.Run(ctx, h, listeners, o) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return listeners[0].Addr().String()
}

// TestGracefulStop lets a download finish that began before the end.
func TestGracefulStop(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		close(begun)
		<-goOn
		_, _ = io.WriteString(w, "all of it")
	})
	listeners, err := serve.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve.Run(ctx, h, listeners, serve.RunOptions{}) }()
	resp, err := http.Get("http://" + listeners[0].Addr().String())
	require.NoError(t, err)
	defer resp.Body.Close()
	<-begun
	cancel()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", listeners[0].Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, time.Minute, 10*time.Millisecond, "no new connections")
	close(goOn)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "all of it", string(text))
	assert.NoError(t, <-done)
}

// TestUnixSocket replaces a socket that was left behind, and no other file.
func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "nixs3") // short enough for the name of a socket
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	stale, err := net.Listen("unix", path)
	require.NoError(t, err)
	_, err = serve.Listen(t.Context(), "unix:"+path)
	require.ErrorContains(t, err, "another program")
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())
	listeners, err := serve.Listen(t.Context(), "unix:"+path)
	require.NoError(t, err)
	s, err := serve.New(openCache(t, "file://"+lab.Cache(t, "none")), serve.Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve.Run(ctx, s, listeners, serve.RunOptions{}) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	resp, err := client.Get("http://x/nix-cache-info")
	require.NoError(t, err)
	resp.Body.Close()
	client.CloseIdleConnections()
	assert.Equal(t, 200, resp.StatusCode)
	cancel()
	assert.NoError(t, <-done)

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	_, err = serve.Listen(t.Context(), "unix:"+file)
	require.Error(t, err)
	_, err = serve.Listen(t.Context(), "systemd")
	require.ErrorContains(t, err, "systemd passed on no socket")
}
