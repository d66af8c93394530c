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

// TestBrokenArchive holds the message about a broken archive: it names the path
// once, the object, and the side that is broken.
func TestBrokenArchive(t *testing.T) {
	for name, size := range map[string]int{"short": 6, "damaged": 366} {
		t.Run(name, func(t *testing.T) {
			from := filepath.Join(t.TempDir(), "from")
			require.NoError(t, os.CopyFS(from, os.DirFS("testdata/cache")))
			archive := filepath.Join(from, "nar", filepath.Base(helloNAR))
			require.NoError(t, os.Chmod(archive, 0o600))
			require.NoError(t, os.WriteFile(archive, bytes.Repeat([]byte("x"), size), 0o600))
			for _, args := range [][]string{nil, {"--keep-going"}} {
				args = append([]string{"copy", "--no-closure", "--from", from, "--to", filepath.Join(t.TempDir(), "to"), hello}, args...)
				got := nixs3(t, "", args...)
				assert.Equal(t, exitFailed, got.exit)
				assert.Contains(t, got.stderr, ": archive nar/"+filepath.Base(helloNAR)+" in file://")
				assert.Equal(t, 1, strings.Count(got.stderr, filepath.Base(hello)), "%s", got.stderr)
				assert.Equal(t, 1, strings.Count(got.stderr, "archive nar/"), "%s", got.stderr)
			}
		})
	}
}
