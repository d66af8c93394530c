package nar_test

import (
	"bytes"
	"encoding/binary"
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
	files, err := filepath.Glob("testdata/*/*.nar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	nars := make(map[string][]byte)
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		nars[strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(f), "testdata/"), ".nar")] = data
	}
	return nars
}

// str is a string as NARs have it.
func str(s string) string {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(s)))
	return string(b) + s + strings.Repeat("\x00", -len(s)&7)
}

// strs is some of them.
func strs(list ...string) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(str(s))
	}
	return b.String()
}

// Nodes of NARs, valid or not, and archives of them.

func regular(contents string) string {
	return strs("(", "type", "regular", "contents", contents, ")")
}

func executable(contents string) string {
	return strs("(", "type", "regular", "executable", "", "contents", contents, ")")
}

func symlink(target string) string { return strs("(", "type", "symlink", "target", target, ")") }

func directory(entries ...string) string {
	return strs("(", "type", "directory") + strings.Join(entries, "") + str(")")
}

func entry(name, node string) string {
	return strs("entry", "(", "name", name, "node") + node + str(")")
}

// nested is a directory with so many levels of directories in it.
func nested(levels int) string {
	if levels == 0 {
		return directory()
	}
	return directory(entry("d", nested(levels-1)))
}

func archive(node string) string { return str("nix-archive-1") + node }

// plain hides everything of a reader but Read.
type plain struct{ io.Reader }

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

// dump returns the NAR of what is at a path.
func dump(t testing.TB, path string, opts ...nar.DumpOption) string {
	var out bytes.Buffer
	require.NoError(t, nar.Dump(&out, path, opts...))
	return out.String()
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
				assert.Equal(t, string(data), dump(t, path))
			})
			if strings.HasSuffix(name, "/unicode") {
				return // has a name that is not UTF-8, which no fs.FS can open
			}
			t.Run("Restore and DumpFS", func(t *testing.T) {
				dir := t.TempDir()
				require.NoError(t, nar.Restore(bytes.NewReader(data), filepath.Join(dir, "x")))
				var out bytes.Buffer
				require.NoError(t, nar.DumpFS(&out, os.DirFS(dir), "x"))
				assert.Equal(t, data, out.Bytes())
			})
			t.Run("FS and DumpFS", func(t *testing.T) {
				listing, err := nar.List(bytes.NewReader(data))
				require.NoError(t, err)
				if listing.Root.Type != nar.TypeDirectory {
					t.Skip("the root of a file system is a directory")
				}
				var out bytes.Buffer
				require.NoError(t, nar.DumpFS(&out, nar.NewFS(bytes.NewReader(data), listing), "."))
				assert.Equal(t, data, out.Bytes())
			})
		})
	}
}
