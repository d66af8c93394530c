//go:build unix

package store_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
)

// TestLocalNARCacheIsHostile: what lies in the place of a kept archive and is
// not one does not block, and the archive is fetched.
func TestLocalNARCacheIsHostile(t *testing.T) {
	o := newObject(t, 1, []byte("contents"))
	for name, place := range map[string]func(kept string) error{
		"a named pipe": func(kept string) error { return syscall.Mkfifo(kept, 0o666) },
		"a link to a named pipe": func(kept string) error {
			if err := syscall.Mkfifo(kept+"-pipe", 0o666); err != nil {
				return err
			}
			return os.Symlink(kept+"-pipe", kept)
		},
		"a device":   func(kept string) error { return os.Symlink("/dev/zero", kept) },
		"other text": func(kept string) error { return os.WriteFile(kept, []byte("not an archive"), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c, _ := fill(t, []object{o}, store.Settings{LocalNARCache: dir})
			for _, kept := range []string{o.info.Path.HashPart(), o.info.NarHash.Nix32()} {
				if err := place(filepath.Join(dir, kept+".nar")); err != nil {
					t.Skip("cannot be made here:", err)
				}
			}
			files, err := c.FS(t.Context(), o.info.Path)
			require.NoError(t, err)
			defer files.Close()
			data, err := fs.ReadFile(files.FS, ".")
			require.NoError(t, err)
			require.Equal(t, "contents", string(data))
		})
	}
}
