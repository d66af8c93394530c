package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestServe serves a cache by flags, the environment and the file of tokens,
// until the command is interrupted.
func TestServe(t *testing.T) {
	var out bytes.Buffer
	require.Equal(t, exitOK, run(t.Context(), []string{"token", "ci", "--access", "read,push"}, console{stdout: &out, stderr: io.Discard}))
	token, line, _ := strings.Cut(out.String(), "\n")
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	require.NoError(t, os.WriteFile(tokens, []byte(line), 0o600))
	t.Setenv("NIXS3_TOKENS", tokens)
	t.Setenv("NIXS3_ANONYMOUS", "none")

	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--store", "file://" + filepath.Join(dir, "cache"), "--push", "--listen", "127.0.0.1:0", "--title", "Ours",
			"--optional-upstream", "http://127.0.0.1:1?retry-attempts=1 cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="},
			console{stdout: io.Discard, stderr: w})
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	require.True(t, lines.Scan())
	assert.Contains(t, lines.Text(), "an upstream does not answer yet")
	require.True(t, lines.Scan())
	_, address, ok := strings.Cut(lines.Text(), " at ")
	require.True(t, ok, lines.Text())
	go func() { _, _ = io.Copy(io.Discard, r) }()
	get := func(path, password string) int {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+path, nil)
		require.NoError(t, err)
		if password != "" {
			req.SetBasicAuth("x", password)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	assert.Equal(t, 401, get("/nix-cache-info", ""))
	assert.Equal(t, 200, get("/nix-cache-info", token))
	assert.Equal(t, 200, get("/", token))
	assert.Equal(t, 404, get("/"+strings.Repeat("0", 32)+".narinfo", token))
	assert.Equal(t, 200, get("/healthz", ""))
	http.DefaultClient.CloseIdleConnections()
	cancel()
	assert.Equal(t, exitOK, <-done)
}

func TestServeUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--anonymous", "everything"}, {"--tokens", "/absent"}, {"--oidc", "x"}, {"--client-ca", "/absent"}, {"--tls-certificate", "/absent"},
		{"--redirect"}, {"--redirect-pushes"}, {"--redirect-pushes", "--push"}, {"--upstream", "mem://"}, {"--sign-with", "/absent"}, {"--listen", "nonsense"},
	} {
		var stderr bytes.Buffer
		args = append([]string{"serve", "--store", "mem://"}, args...)
		assert.Equal(t, exitFailed, run(t.Context(), args, console{stdout: io.Discard, stderr: &stderr}), args)
		assert.NotEmpty(t, stderr.String())
	}
}
