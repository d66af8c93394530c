package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hook writes the post-build hook for a queue.
func hook(t *testing.T, queue string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Nix does not run on Windows")
	}
	got := nixs3(t, "", "hook", "--queue", queue)
	require.Equal(t, exitOK, got.exit, got.stderr)
	file := filepath.Join(t.TempDir(), "hook")
	require.NoError(t, os.WriteFile(file, []byte(got.stdout), 0o755))
	return file
}

// built runs a hook as Nix does after a build.
func built(t *testing.T, hook string, paths ...string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", hook)
	cmd.Env = append(os.Environ(), "OUT_PATHS="+strings.Join(paths, " "), "DRV_PATH=/nix/store/x.drv")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "a hook never fails a build")
	return string(out)
}

func TestPushQueue(t *testing.T) {
	queue := filepath.Join(t.TempDir(), "it's a queue")
	script := hook(t, queue)
	to := filepath.Join(t.TempDir(), "cache")
	push := []string{"push", "--queue", queue, "--from", testCache(t), "--to", to}

	got := nixs3(t, "", push...)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.NoDirExists(t, to, "nothing to do")

	assert.Empty(t, built(t, script, wrapper, hello))
	assert.Empty(t, built(t, script))
	for range 8 {
		built(t, script, env)
	}
	got = nixs3(t, "", push...)
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Contains(t, got.stderr, "3 of 3 paths copied", "each once")
	notes, err := readNotes(queue)
	require.NoError(t, err)
	assert.Empty(t, notes)
}

func TestPushKeepsWhatFailed(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from")
	require.NoError(t, os.CopyFS(from, os.DirFS("testdata/cache")))
	archives, err := filepath.Glob(filepath.Join(from, "nar", "*"))
	require.NoError(t, err)
	for _, archive := range archives {
		require.NoError(t, os.Chmod(archive, 0o600))
		require.NoError(t, os.WriteFile(archive, []byte("broken"), 0o600))
	}
	queue := t.TempDir()
	script := hook(t, queue)
	built(t, script, env)
	built(t, script, absent)
	push := []string{"push", "--queue", queue, "--to", filepath.Join(t.TempDir(), "cache"), "--from"}
	got := nixs3(t, "", append(push, from)...)
	assert.Equal(t, exitFailed, got.exit)
	assert.Contains(t, got.stderr, "not all of its paths are in the cache yet")
	notes, err := readNotes(queue)
	require.NoError(t, err)
	require.Len(t, notes, 1, "the note of a path that the store has lost goes")
	assert.Equal(t, []string{env}, notes[0].lines)

	got = nixs3(t, "", append(push, testCache(t))...)
	require.Equal(t, exitOK, got.exit, got.stderr)
	notes, err = readNotes(queue)
	require.NoError(t, err)
	assert.Empty(t, notes)
}

func TestPushAlone(t *testing.T) {
	queue := t.TempDir()
	unlock, err := lockFolder(queue)
	require.NoError(t, err)
	got := nixs3(t, "", "push", "--queue", queue, "--to", t.TempDir())
	assert.Equal(t, exitFailed, got.exit)
	assert.Contains(t, got.stderr, "another process works on it")
	require.NoError(t, unlock())
}

func TestPushWatches(t *testing.T) {
	queue, to := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	built(t, hook(t, queue), env)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	var stderr bytes.Buffer
	go func() {
		args := []string{"push", "--queue", queue, "--from", testCache(t), "--to", to, "--watch"}
		ended <- run(ctx, args, console{stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, stderr: &stderr})
	}()
	require.Eventually(t, func() bool {
		notes, err := readNotes(queue)
		return err == nil && len(notes) == 0
	}, time.Minute, 10*time.Millisecond)
	cancel()
	assert.Equal(t, exitInterrupted, <-ended, stderr.String())
	assert.Equal(t, exitOK, nixs3(t, "", "path-info", "--store", to, env).exit)
}

func TestHookThatCannotNote(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	out := built(t, hook(t, filepath.Join(file, "queue")), hello)
	assert.Contains(t, out, "they will not be uploaded")
}
