package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
)

func TestCopyOnATerminal(t *testing.T) {
	var stdout, stderr bytes.Buffer
	to := fileURL(t, filepath.Join(t.TempDir(), "cache"))
	status := run(t.Context(), []string{"copy", "--from", testCache(t), "--to", to, "--all"},
		console{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, terminal: true})
	require.Equal(t, exitOK, status, stderr.String())
	assert.Empty(t, stdout.String())
	assert.Contains(t, stderr.String(), "\r", "a bar that is drawn again and again")
	assert.Contains(t, stderr.String(), "3 of 3 paths copied")
}

func TestBarProgress(t *testing.T) {
	var out bytes.Buffer
	p := barProgress(&out)
	p.show(store.Progress{}) // nothing known yet
	p.show(store.Progress{Paths: 1, PathsTotal: 4, NARBytes: 1 << 20, NARBytesTotal: 4 << 20})
	p.end()
	assert.Contains(t, out.String(), "1/4 paths")
	assert.Contains(t, out.String(), "25%")
}

func TestLineProgress(t *testing.T) {
	var out bytes.Buffer
	p := lineProgress(&out, time.Hour)
	p.show(store.Progress{Paths: 1, PathsTotal: 4})
	assert.Empty(t, out.String(), "not more often than asked for")

	p = lineProgress(&out, 0)
	p.show(store.Progress{Paths: 1, PathsTotal: 4, NARBytes: 1536, NARBytesTotal: 4 << 20})
	p.end()
	assert.Equal(t, "1 of 4 paths, 1.5 KiB of 4.0 MiB\n", out.String())
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 3 << 39: "1.5 TiB", 1<<63 - 1: "8.0 EiB",
	} {
		assert.Equal(t, want, size(n))
	}
}
