package fileblob_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob/fileblob"
)

func open(t *testing.T, dir string, opts fileblob.Options) *fileblob.Bucket {
	t.Helper()
	b, err := fileblob.Open(dir, opts)
	require.NoError(t, err)
	return b
}

// noFileName reports whether the system has no file name for a key.
func noFileName(key string) bool {
	switch runtime.GOOS {
	case "windows":
		return strings.ContainsAny(key, `<>:"\|?*`) || strings.HasSuffix(key, " ") || strings.HasSuffix(key, ".") || key == "odd/CASE" || len(key) > 200
	case "darwin":
		return key == "odd/CASE" || key == "odd/e\u0301" || len(key) > 900
	}
	return false
}

// leftovers returns all files and folders below dir except the objects.
func leftovers(t *testing.T, dir string, objects ...string) []string {
	t.Helper()
	var found []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		rel = filepath.ToSlash(rel)
		for _, o := range objects {
			if rel == o || d.IsDir() && strings.HasPrefix(o, rel+"/") {
				return err
			}
		}
		if rel != "." {
			found = append(found, rel)
		}
		return err
	}))
	return found
}

var errContent = errors.New("content is broken")

type failing struct{}

func (failing) Size() int64                       { return 10 }
func (failing) ReadAt([]byte, int64) (int, error) { return 0, errContent }
