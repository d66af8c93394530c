//go:build darwin || freebsd || linux || netbsd || openbsd

package nar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// raced restores a NAR into dir/x while exchange runs once, between the moment
// that the system has made the object with a name and that in which Restore
// looks at it.
func raced(t *testing.T, data, dir, name string, exchange func(path string), opts ...RestoreOption) error {
	t.Helper()
	path, done := filepath.Join(dir, "x"), false
	afterMake = func(h *handle, made string) {
		if made == name && !done {
			done = true
			exchange(filepath.Join(h.path, made))
		}
	}
	defer func() { afterMake = func(*handle, string) {} }()
	err := Restore(strings.NewReader(data), path, opts...)
	require.True(t, done, "the hook ran")
	return err
}

func wireTree(t *testing.T) string {
	var b strings.Builder
	w := NewWriter(&b)
	for _, h := range []Header{
		{Type: TypeDirectory},
		{Path: "d", Type: TypeDirectory},
		{Path: "d/f", Type: TypeRegular},
		{Path: "l", Type: TypeSymlink, LinkTarget: "elsewhere"},
	} {
		require.NoError(t, w.WriteHeader(&h))
	}
	require.NoError(t, w.Close())
	return b.String()
}

// old makes a time difference that a file system sees.
func old(t *testing.T, path string) {
	past := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(path, past, past))
}

// What an attacker puts in the place of a new directory or link stays as it is.
func TestRestoreRefusesWhatWasExchanged(t *testing.T) {
	data := wireTree(t)
	siblings := map[string]func(t *testing.T, path string){
		"full directory": func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(path, "keep"), nil, 0o644))
		},
		"empty directory": func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o755))
			old(t, path)
		},
		"file": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("keep"), 0o644))
			old(t, path)
		},
		"link to a directory": func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path+"-target", 0o755))
			require.NoError(t, os.Symlink(filepath.Base(path)+"-target", path))
		},
		"link to nothing": func(t *testing.T, path string) { require.NoError(t, os.Symlink("/missing", path)) },
	}
	for _, place := range []string{"x", "d", "l"} {
		for kind, make := range siblings {
			for name, opts := range map[string][]RestoreOption{"": nil, ", store metadata": {WithStoreMetadata()}} {
				t.Run(place+" is a "+kind+name, func(t *testing.T) {
					dir := t.TempDir()
					sibling := filepath.Join(dir, "sibling")
					make(t, sibling)
					var before strings.Builder
					require.NoError(t, Dump(&before, sibling))
					info, err := os.Lstat(sibling)
					require.NoError(t, err)
					var at string
					err = raced(t, data, dir, place, func(path string) {
						at = path
						require.NoError(t, os.Rename(path, filepath.Join(dir, "away")))
						require.NoError(t, os.Rename(sibling, path))
					}, opts...)
					require.Error(t, err)
					var after strings.Builder
					require.NoError(t, Dump(&after, at), "it is still there")
					assert.Equal(t, before.String(), after.String())
					now, err := os.Lstat(at)
					require.NoError(t, err)
					assert.True(t, os.SameFile(info, now))
					assert.Equal(t, info.Mode(), now.Mode())
					assert.Equal(t, info.ModTime(), now.ModTime())
				})
			}
		}
	}
}

func TestMadeLog(t *testing.T) {
	objects := []object{{1, 5}, {1, 6}, {2, 1 << 63}, {1, 4}, {2, 0}, {1, 1<<64 - 1}, {3, 1}}
	var m madeLog
	want := map[object]bool{}
	for _, o := range objects {
		m.add(o)
		want[o] = true
	}
	assert.Equal(t, want, m.set())
}
