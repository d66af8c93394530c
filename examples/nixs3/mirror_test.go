package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMirror(t *testing.T) {
	from, to := copyOfCache(t), t.TempDir()
	args := []string{"mirror", "--from", fileURL(t, from), "--to", fileURL(t, to), "--trusted-public-keys", publicKey(t)}
	got := nixs3(t, "", append(args, "--dry-run")...)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Contains(t, got.stderr, "3 paths to be copied")
	assert.Empty(t, filesOf(t, to))

	got = nixs3(t, "", append(args, "--bandwidth", "1G")...)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Equal(t, filesOf(t, from), filesOf(t, to))

	key, _ := newKeyFile(t, "later-1")
	require.Equal(t, exitOK, nixs3(t, "", "sign", "--store", fileURL(t, from), "--key", key, env).exit)
	got = nixs3(t, "", args...)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Contains(t, got.stderr, "0 paths copied, 2 there already and 1 with further signatures, 0 removed")
	assert.Equal(t, filesOf(t, from), filesOf(t, to))

	require.NoError(t, os.Remove(narInfoFile(from, env)))
	got = nixs3(t, "", args...)
	assert.Equal(t, exitOK, got.exit)
	assert.Equal(t, "removed "+env+"\n", got.stdout)
	assert.Contains(t, got.stderr, "0 paths copied, 2 there already, 1 removed at the source")
}

func TestMirrorOfAPath(t *testing.T) {
	to := t.TempDir()
	got := nixs3(t, "", "mirror", "--from", testCache(t), "--to", fileURL(t, to), wrapper)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Equal(t, exitOK, nixs3(t, "", "verify", "--store", fileURL(t, to), wrapper).exit)
	assert.NotContains(t, filesOf(t, to), "/"+strings.TrimPrefix(narInfoFile("", env), "/"))
}

func TestMirrorWatches(t *testing.T) {
	to := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int)
	var out, errs strings.Builder
	go func() {
		done <- run(ctx, []string{"mirror", "--from", testCache(t), "--to", fileURL(t, to), "--watch", "1ms"}, console{stdout: &out, stderr: &errs})
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(narInfoFile(to, env)); return err == nil }, time.Minute, time.Millisecond)
	require.NoError(t, os.Remove(narInfoFile(to, env)))
	require.Eventually(t, func() bool { _, err := os.Stat(narInfoFile(to, env)); return err == nil }, time.Minute, time.Millisecond)
	cancel()
	assert.Equal(t, exitInterrupted, <-done)
}

func TestMirrorUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"bandwidth":          {"--bandwidth", "fast"},
		"no bandwidth":       {"--bandwidth", "0"},
		"empty bandwidth":    {"--bandwidth", ""},
		"only a unit":        {"--bandwidth", "M"},
		"too much bandwidth": {"--bandwidth", "9999999999G"},
		"watch":              {"--watch", "-1s"},
		"watch, dry run":     {"--watch", "1s", "--dry-run"},
	} {
		got := nixs3(t, "", append([]string{"mirror", "--from", testCache(t), "--to", "mem://"}, args...)...)
		assert.Equal(t, exitUsage, got.exit, name)
	}
}
