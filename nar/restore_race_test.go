package nar_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

var errSource = errors.New("the source failed")

// interrupted returns data up to a mark, then what act returns, then the rest.
func interrupted(data, mark string, act func() error) io.Reader {
	at := strings.Index(data, mark)
	return io.MultiReader(strings.NewReader(data[:at]), readerFunc(func([]byte) (int, error) {
		if err := act(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}), strings.NewReader(data[at:]))
}

// A clean-up takes away what Restore made, wherever it can find it, and nothing
// else.
func TestRestoreRemovesOnlyWhatItMade(t *testing.T) {
	unixOnly(t)
	big := strings.Repeat("b", 1<<20)
	data := archive(directory(
		entry("a", directory(entry("f", regular(strings.Repeat("f", 100_000))), entry("l", symlink("f")))),
		entry("b", directory(entry("big", regular(big)))),
	))
	for name, tt := range map[string]struct {
		change func(t *testing.T, dir, path string)
		stays  []string // below the directory of path, beside what was moved there
	}{
		"a foreign file comes in": {func(t *testing.T, dir, path string) {
			writeFile(t, filepath.Join(path, "a", "foreign"), "x", 0o600)
		}, []string{"x/a/foreign"}},
		"a foreign directory is moved in": {func(t *testing.T, dir, path string) {
			require.NoError(t, os.Rename(filepath.Join(dir, "sibling"), filepath.Join(path, "b", "sibling")))
		}, []string{"x/b/sibling/keep"}},
		"a directory is exchanged": {func(t *testing.T, dir, path string) {
			require.NoError(t, os.Rename(filepath.Join(path, "a"), filepath.Join(dir, "away")))
			require.NoError(t, os.Rename(filepath.Join(dir, "sibling"), filepath.Join(path, "a")))
		}, []string{"x/a/keep", "away/f"}},
		"a directory is exchanged for a link": {func(t *testing.T, dir, path string) {
			require.NoError(t, os.Rename(filepath.Join(path, "a"), filepath.Join(dir, "away")))
			require.NoError(t, os.Symlink("../sibling", filepath.Join(path, "a")))
		}, []string{"x/a", "sibling/keep", "away/f"}},
		"a file is exchanged for a foreign one": {func(t *testing.T, dir, path string) {
			require.NoError(t, os.Rename(filepath.Join(dir, "sibling", "keep"), filepath.Join(path, "a", "f")))
		}, []string{"x/a/f"}},
		"the root is exchanged": {func(t *testing.T, dir, path string) {
			require.NoError(t, os.Rename(path, filepath.Join(dir, "away")))
			require.NoError(t, os.Rename(filepath.Join(dir, "sibling"), path))
		}, []string{"x/keep", "away"}},
		"the root is exchanged for a link": {func(t *testing.T, dir, path string) {
			require.NoError(t, os.Rename(path, filepath.Join(dir, "away")))
			require.NoError(t, os.Symlink("sibling", path))
		}, []string{"x", "sibling/keep", "away"}},
	} {
		for opt, opts := range map[string][]nar.RestoreOption{"": nil, ", store metadata": {nar.WithStoreMetadata()}, ", no workers": {nar.WithWorkers(0)}} {
			t.Run(name+opt, func(t *testing.T) {
				dir := t.TempDir()
				makeRemovable(t, dir)
				path := filepath.Join(dir, "x")
				require.NoError(t, os.Mkdir(filepath.Join(dir, "sibling"), 0o750))
				writeFile(t, filepath.Join(dir, "sibling", "keep"), "keep", 0o640)
				leavesNothing(t, func() {
					err := nar.Restore(interrupted(data, "bbbb", func() error {
						tt.change(t, dir, path)
						return errSource
					}), path, opts...)
					assert.ErrorIs(t, err, errSource)
					assert.ErrorContains(t, err, "Restore did not make it")
				})
				for _, p := range tt.stays {
					_, err := os.Lstat(filepath.Join(dir, p))
					assert.NoError(t, err, p)
				}
				entries, err := os.ReadDir(filepath.Join(dir, "away"))
				if err == nil && tt.stays[len(tt.stays)-1] == "away" {
					assert.Empty(t, entries, "the root was emptied where it went")
				}
			})
		}
	}
}

// What comes late through a name that was exchanged changes nothing there.
func TestRestoreSetsNoMetadataByName(t *testing.T) {
	unixOnly(t)
	big := strings.Repeat("b", 1<<20)
	data := archive(directory(entry("d", directory(entry("big", regular(big))))))
	for name, victim := range map[string]string{"file": "x/d/big", "directory": "x/d", "root": "x"} {
		for _, link := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				makeRemovable(t, dir)
				sibling := filepath.Join(dir, "sibling")
				require.NoError(t, os.Mkdir(sibling, 0o750))
				past := time.Unix(1_000_000, 0)
				require.NoError(t, os.Chtimes(sibling, past, past))
				err := nar.Restore(interrupted(data, "bbbb", func() error {
					require.NoError(t, os.Rename(filepath.Join(dir, victim), filepath.Join(dir, "away")))
					if link {
						return os.Symlink(sibling, filepath.Join(dir, victim))
					}
					return os.Rename(sibling, filepath.Join(dir, victim))
				}), filepath.Join(dir, "x"), nar.WithStoreMetadata())
				require.NoError(t, err)
				at := sibling
				if !link {
					at = filepath.Join(dir, victim)
				}
				info, err := os.Stat(at)
				require.NoError(t, err)
				assert.Equal(t, fs.FileMode(0o750), info.Mode().Perm())
				assert.Equal(t, past, info.ModTime())
				entries, err := os.ReadDir(at)
				require.NoError(t, err)
				assert.Empty(t, entries)
			})
		}
	}
}

func TestRestoreSurvivesItsReader(t *testing.T) {
	data := manyFiles()
	for _, opts := range [][]nar.RestoreOption{nil, {nar.WithStoreMetadata(), nar.WithWorkers(3)}, {nar.WithWorkers(0)}} {
		for _, n := range []int{0, 100, 20_000, 1_000_000} {
			dir := t.TempDir()
			leavesNothing(t, func() {
				source := io.MultiReader(strings.NewReader(data[:n]), readerFunc(func([]byte) (int, error) { panic("in Read") }))
				assert.PanicsWithValue(t, "in Read", func() { nar.Restore(source, filepath.Join(dir, "x"), opts...) })
			})
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, entries)
		}
	}
}

func TestRestoreEndsWithAReaderThatYieldsNothing(t *testing.T) {
	idle := readerFunc(func([]byte) (int, error) { return 0, nil })
	for _, n := range []int{0, 100, len(sample)} {
		path := filepath.Join(t.TempDir(), "x")
		err := nar.Restore(io.MultiReader(strings.NewReader(sample[:n]), idle), path, nar.WithWholeReader())
		assert.ErrorIs(t, err, io.ErrNoProgress, "after %d bytes", n)
		assert.NoFileExists(t, path)
		assert.NoDirExists(t, path)
	}
}
