package nar_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

// goldenNARs returns the NARs that a real Nix wrote, by name.
func goldenNARs(t testing.TB) map[string][]byte {
	files, err := filepath.Glob("testdata/nars/*.nar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	nars := make(map[string][]byte)
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		nars[strings.TrimSuffix(filepath.Base(f), ".nar")] = data
	}
	return nars
}

// rewrite reads a NAR and writes it again.
func rewrite(src io.Reader, dst io.Writer) error {
	r, w := nar.NewReader(src), nar.NewWriter(dst)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return w.Close()
		}
		if err != nil {
			return err
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
	}
}

func TestGoldenNARs(t *testing.T) {
	for name, data := range goldenNARs(t) {
		t.Run(name, func(t *testing.T) {
			t.Run("Reader to Writer", func(t *testing.T) {
				var out bytes.Buffer
				require.NoError(t, rewrite(bytes.NewReader(data), &out))
				assert.Equal(t, data, out.Bytes())
			})
			t.Run("Restore and Dump", func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "x")
				require.NoError(t, nar.Restore(bytes.NewReader(data), path))
				var out bytes.Buffer
				require.NoError(t, nar.Dump(&out, path))
				assert.Equal(t, data, out.Bytes())
				out.Reset()
				require.NoError(t, nar.DumpFS(&out, os.DirFS(filepath.Dir(path)), "x"))
				assert.Equal(t, data, out.Bytes())
			})
		})
	}
}
