package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUpload(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	require.NoError(t, os.WriteFile(file, []byte("hi\n"), 0o644))
	cache := "file://" + filepath.ToSlash(filepath.Join(dir, "cache"))

	var out bytes.Buffer
	require.NoError(t, upload(t.Context(), &out, cache, file))
	require.NoError(t, upload(t.Context(), &out, cache, file), "once more")
	assert.Equal(t, strings.Repeat("/nix/store/miacmq2d49l5qm1xgkpr982m3rd9ax08-a\n", 2), out.String(), "the path that Nix gives")
	narinfos, err := filepath.Glob(filepath.Join(dir, "cache", "*.narinfo"))
	require.NoError(t, err)
	assert.Len(t, narinfos, 1)

	require.ErrorIs(t, upload(t.Context(), &out, cache, filepath.Join(dir, "absent")), os.ErrNotExist)
	require.ErrorContains(t, upload(t.Context(), &out, "ftp://host", file), "expected the scheme")
}
