package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

// TestGCRefuses collects buckets that cannot be collected. Each has a clear
// answer, and nothing is lost.
func TestGCRefuses(t *testing.T) {
	start := func(t *testing.T, opts fakes3.Options) (*fakes3.Server, string) {
		cleanAWS(t)
		opts.Buckets = []string{"cache"}
		server, err := fakes3.Start(opts)
		require.NoError(t, err)
		t.Cleanup(func() { server.Close() })
		t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
		t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
		at := "s3://cache?endpoint=" + server.Endpoint()
		got := nixs3(t, "", "copy", "--from", testCache(t), "--to", at, "--all")
		require.Equal(t, exitOK, got.exit, got.stderr)
		// Under collection for long, so that no run waits for writers.
		require.NoError(t, server.PutObject("cache", "nixs3/collect/state", []byte(`{"phase":"idle","ttl":1800,"since":"2000-01-01T00:00:00Z","nonce":"x"}`), nil))
		return server, at
	}
	refused := func(t *testing.T, at, expected string) {
		t.Helper()
		before := nixs3(t, "", "path-info", "--store", at, "--all").stdout
		got := nixs3(t, "", "gc", "--store", at, "--recent", "0", "--root", hello)
		assert.Equal(t, exitFailed, got.exit)
		assert.Contains(t, got.stderr, expected)
		assert.Empty(t, got.stdout)
		assert.Equal(t, before, nixs3(t, "", "path-info", "--store", at, "--all").stdout)
	}
	t.Run("conditions are ignored", func(t *testing.T) {
		_, at := start(t, fakes3.Options{Conditions: fakes3.IgnoreConditions})
		refused(t, at, "if no other collector runs there, promise it with --alone")
		got := nixs3(t, "", "gc", "--store", at, "--recent", "0", "--root", hello, "--alone")
		assert.Equal(t, exitOK, got.exit, got.stderr)
		assert.Equal(t, hello+"\n", nixs3(t, "", "path-info", "--store", at, "--all").stdout)
	})
	t.Run("nothing may be deleted", func(t *testing.T) {
		server, at := start(t, fakes3.Options{})
		for _, op := range []string{"DeleteObject", "DeleteObjects"} {
			server.Inject(fakes3.Fault{Op: op, Times: -1, Status: http.StatusForbidden, Code: "AccessDenied"})
		}
		refused(t, at, "a collector needs s3:DeleteObject")
	})
	t.Run("locked", func(t *testing.T) {
		server, at := start(t, fakes3.Options{})
		require.NoError(t, server.PutObject("cache", "nixs3/collect/state",
			[]byte(`{"phase":"sweeping","run":"R","holder":"ci@build-7","process":"elsewhere/1/2","ttl":1800,"nonce":"y"}`), nil))
		refused(t, at, "is sweeping by run R of ci@build-7, which holds the lock until 20")
	})
	t.Run("a broken root", func(t *testing.T) {
		server, at := start(t, fakes3.Options{})
		require.NoError(t, server.PutObject("cache", "nixs3/roots/web", []byte(`{}`), nil))
		refused(t, at, `malformed root "web"`)
	})
}

// A server refuses requests of a machine whose clock is wrong by hours. One that
// is wrong by minutes has no say in what is recent.
func TestGCClocks(t *testing.T) {
	for _, ahead := range []time.Duration{-5 * time.Hour, -10 * time.Minute, 10 * time.Minute, 5 * time.Hour} {
		cleanAWS(t)
		skew := time.Duration(0)
		server, err := fakes3.Start(fakes3.Options{Buckets: []string{"cache"}, Now: func() time.Time { return time.Now().Add(skew) }})
		require.NoError(t, err)
		t.Cleanup(func() { server.Close() })
		t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
		t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
		at := "s3://cache?endpoint=" + server.Endpoint()
		if ahead.Abs() < time.Hour {
			skew = ahead
		}
		got := nixs3(t, "", "copy", "--from", testCache(t), "--to", at, "--all")
		require.Equal(t, exitOK, got.exit, got.stderr)
		require.NoError(t, server.PutObject("cache", "nixs3/collect/state", []byte(`{"phase":"idle","ttl":1800,"since":"2000-01-01T00:00:00Z","nonce":"x"}`), nil))
		before := server.Keys("cache")
		skew = ahead
		got = nixs3(t, "", "gc", "--store", at, "--recent", "5m", "--root", hello)
		if ahead.Abs() < time.Hour {
			require.Equal(t, exitOK, got.exit, got.stderr)
			assert.Equal(t, 3, strings.Count(nixs3(t, "", "path-info", "--store", at, "--all").stdout, "\n"), "all are recent")
			continue
		}
		assert.Equal(t, exitFailed, got.exit)
		assert.Contains(t, got.stderr, "set this machine's clock")
		assert.Equal(t, before, server.Keys("cache"))
	}
}

// A collector of this machine that was killed holds no lock.
func TestGCAfterKill(t *testing.T) {
	dir, url := collected(t)
	state := filepath.Join(dir, "nixs3", "collect", "state")
	require.NoError(t, os.WriteFile(state, []byte(`{"phase":"marking","run":"R","holder":"x","process":"elsewhere/1/2","ttl":0,"nonce":"y"}`), 0o644))
	got := nixs3(t, "", "gc", "--store", url, "--recent", "0")
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Equal(t, hello+"\n", nixs3(t, "", "path-info", "--store", url, "--all").stdout)
}
