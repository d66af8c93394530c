//go:build unix

package fileblob_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
)

// A named pipe among the objects is none, and nobody waits for its writer.
func TestNamedPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Skip("no named pipes here:", err)
	}
	b := open(t, dir, fileblob.Options{})
	defer b.Close()
	_, err := b.Get(t.Context(), "pipe", blob.GetOptions{})
	require.ErrorIs(t, err, blob.ErrNotFound)
	_, err = b.Head(t.Context(), "pipe")
	require.ErrorIs(t, err, blob.ErrNotFound)
	for attrs, err := range b.List(t.Context(), blob.ListOptions{}) {
		require.Fail(t, "listed", "%v %v", attrs, err)
	}
}
