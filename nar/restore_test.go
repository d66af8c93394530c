package nar_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

// manyFiles is a NAR that takes several batches of small files and some large
// ones.
func manyFiles() string {
	var dirs []string
	for d := range 4 {
		var files []string
		for f := range 40 {
			name := fmt.Sprintf("file-%02d", f)
			node := regular(strings.Repeat(name, 100*f))
			switch f % 10 {
			case 3:
				node = executable(strings.Repeat(name, 10_000))
			case 5:
				node = symlink("file-03")
			case 7:
				node = directory(entry("inner", regular("")))
			}
			files = append(files, entry(name, node))
		}
		dirs = append(dirs, entry(fmt.Sprintf("dir-%02d", d), directory(files...)))
	}
	return archive(directory(dirs...))
}

func TestRestoreThenDumpIsTheSame(t *testing.T) {
	unixOnly(t)
	data := manyFiles()
	for name, opts := range map[string][]nar.RestoreOption{
		"default":        nil,
		"no workers":     {nar.WithWorkers(0)},
		"one worker":     {nar.WithWorkers(1)},
		"seven workers":  {nar.WithWorkers(7)},
		"store metadata": {nar.WithStoreMetadata()},
		"case hack":      {nar.WithCaseHack(true)},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			source := strings.NewReader(data + "behind")
			leavesNothing(t, func() { assert.NoError(t, nar.Restore(source, path, opts...)) })
			assert.Equal(t, len("behind"), source.Len())
			assert.True(t, data == dump(t, path), "same NAR")
			makeRemovable(t, path)
		})
	}
	t.Run("sync", func(t *testing.T) {
		data := archive(directory(entry("d", directory(entry("f", regular("x")), entry("l", symlink("f"))))))
		path := filepath.Join(t.TempDir(), "x")
		require.NoError(t, nar.Restore(strings.NewReader(data), path, nar.WithSync(), nar.WithStoreMetadata()))
		assert.Equal(t, data, dump(t, path))
		makeRemovable(t, path)
	})
}

// makeRemovable lets users other than root remove the test's directory.
func makeRemovable(t testing.TB, path string) {
	t.Cleanup(func() {
		filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				os.Chmod(p, 0o755)
			}
			return nil
		})
	})
}

func TestRestoreModesAndTimes(t *testing.T) {
	unixOnly(t)
	data := archive(directory(
		entry("big", regular(strings.Repeat("x", 1<<20))),
		entry("d", directory(entry("f", regular("x")))),
		entry("f", regular("x")),
		entry("l", symlink("f")),
		entry("x", executable("x")),
	))
	restore := func(t *testing.T, opts ...nar.RestoreOption) string {
		path := filepath.Join(t.TempDir(), "x")
		require.NoError(t, nar.Restore(strings.NewReader(data), path, opts...))
		makeRemovable(t, path)
		return path
	}
	stat := func(path, name string) fs.FileInfo {
		info, err := os.Lstat(filepath.Join(path, name))
		require.NoError(t, err)
		return info
	}
	t.Run("store", func(t *testing.T) {
		path := restore(t, nar.WithStoreMetadata())
		for name, mode := range map[string]fs.FileMode{"": 0o555, "big": 0o444, "d": 0o555, "d/f": 0o444, "f": 0o444, "x": 0o555} {
			assert.Equal(t, mode, stat(path, name).Mode().Perm(), name)
			assert.Equal(t, time.Unix(1, 0), stat(path, name).ModTime(), name)
		}
		assert.Equal(t, time.Unix(1, 0), stat(path, "l").ModTime(), "l")
	})
	t.Run("plain", func(t *testing.T) {
		start := time.Now().Add(-time.Minute)
		path := restore(t)
		for name, bits := range map[string]fs.FileMode{"": 0o700, "big": 0o600, "d": 0o700, "d/f": 0o600, "f": 0o600, "x": 0o700} {
			assert.Equal(t, bits, stat(path, name).Mode()&0o700, name)
			assert.True(t, stat(path, name).ModTime().After(start), name)
		}
	})
	t.Run("file at the root", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x")
		require.NoError(t, nar.Restore(strings.NewReader(archive(executable("x"))), path, nar.WithStoreMetadata()))
		assert.Equal(t, fs.FileMode(0o555), stat(path, "").Mode())
		assert.Equal(t, time.Unix(1, 0), stat(path, "").ModTime())
	})
}

func TestRestoreRefusesAnExistingTarget(t *testing.T) {
	unixOnly(t)
	for _, node := range []string{regular("new"), symlink("new"), directory(entry("new", regular("")))} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "file"), "old", 0o600)
		require.NoError(t, os.Mkdir(filepath.Join(dir, "dir"), 0o755))
		require.NoError(t, os.Symlink("file", filepath.Join(dir, "link")))
		require.NoError(t, os.Symlink("missing", filepath.Join(dir, "dangling")))
		before := dump(t, dir)
		for _, name := range []string{"file", "dir", "dir/", "link", "dangling", ".", "..", "", "dir/..", "/"} {
			path := filepath.Join(dir, name)
			if name == "" || name == "." || name == ".." || name == "/" {
				path = name
			}
			source := strings.NewReader(archive(node))
			assert.ErrorIs(t, nar.Restore(source, path), fs.ErrExist, "%q", name)
			assert.EqualValues(t, source.Size(), source.Len(), "nothing was read")
		}
		assert.Equal(t, before, dump(t, dir))
	}
}

func TestRestoreNeedsItsDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "x")
	assert.ErrorIs(t, nar.Restore(strings.NewReader(sample), path), fs.ErrNotExist)
}

func TestRestoreIntoTheCurrentDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, nar.Restore(strings.NewReader(archive(regular("x"))), "file"))
	data, err := os.ReadFile("file")
	require.NoError(t, err)
	assert.Equal(t, "x", string(data))
}

func TestRestoreRemovesWhatItMadeOnError(t *testing.T) {
	data := manyFiles()
	fail := fmt.Errorf("wrapped: %w", os.ErrDeadlineExceeded)
	for _, opts := range [][]nar.RestoreOption{nil, {nar.WithStoreMetadata()}, {nar.WithWorkers(0)}, {nar.WithWorkers(3), nar.WithStoreMetadata()}} {
		for _, n := range []int{0, 10, 100, 1000, 20_000, 1_000_000, len(data) - 1} {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "bystander"), "x", 0o600)
			before := dump(t, dir)
			leavesNothing(t, func() {
				source := io.MultiReader(strings.NewReader(data[:n]), iotest.ErrReader(fail))
				err := nar.Restore(source, filepath.Join(dir, "x"), opts...)
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "after %d bytes", n)
			})
			assert.Equal(t, before, dump(t, dir), "after %d bytes", n)
		}
	}
}

func TestRestoreReportsWhatTheDiskRefuses(t *testing.T) {
	unixOnly(t)
	// A name of 255 bytes is fine for a NAR and for the disk; with the suffix
	// of the case hack it is not.
	long := strings.Repeat("n", 254)
	data := archive(directory(entry(long+"A", regular("")), entry(long+"a", regular(""))))
	path := filepath.Join(t.TempDir(), "x")
	err := nar.Restore(strings.NewReader(data), path, nar.WithCaseHack(true))
	assert.ErrorContains(t, err, "too long for the suffix of the case hack")
	assert.NoFileExists(t, path)

	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o555))
	assert.ErrorIs(t, nar.Restore(strings.NewReader(sample), filepath.Join(dir, "x")), fs.ErrPermission)
}

func TestRestoreFailsWhenSomeoneElseMakesTheFiles(t *testing.T) {
	unixOnly(t)
	for _, workers := range []int{0, 2} {
		path := filepath.Join(t.TempDir(), "x")
		data := archive(directory(entry("a", regular("a")), entry("b", regular(strings.Repeat("b", 1<<20)))))
		at := strings.Index(data, "bbbb")
		source := io.MultiReader(strings.NewReader(data[:at]), readerFunc(func([]byte) (int, error) {
			require.NoError(t, os.Symlink("/dev/null", filepath.Join(path, "a")))
			return 0, io.EOF
		}), strings.NewReader(data[at:]))
		err := nar.Restore(source, path, nar.WithWorkers(workers))
		assert.ErrorIs(t, err, fs.ErrExist)
		assert.NoFileExists(t, path)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestRestoreNeverFollowsALinkOfTheNAR(t *testing.T) {
	unixOnly(t)
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	require.NoError(t, os.Mkdir(outside, 0o755))
	for name, node := range map[string]string{
		"file through a link":      directory(entry("a", symlink(outside)), entry("a/f", regular("x"))),
		"directory over a link":    directory(entry("a", symlink(outside)), entry("a", directory(entry("f", regular("x"))))),
		"link, then path in name":  directory(entry("a", symlink("..")), entry("a/../../outside/f", regular("x"))),
		"parent directory as name": directory(entry("..", directory(entry("f", regular("x"))))),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "x")
			var fe *nar.FormatError
			assert.ErrorAs(t, nar.Restore(strings.NewReader(archive(node)), path), &fe)
			assert.NoFileExists(t, path)
			entries, err := os.ReadDir(outside)
			require.NoError(t, err)
			assert.Empty(t, entries)
		})
	}
}

func TestRestoreAppliesTheCaseHack(t *testing.T) {
	data := archive(directory(
		entry("A", regular("1")),
		entry("B", directory(entry("X", regular("2")), entry("x", regular("3")))),
		entry("a", regular("4")),
		entry("b", directory(entry("x", regular("5")))),
		entry("c", regular("6")),
		entry("É", regular("7")),
		entry("é", regular("8")),
	))
	path := filepath.Join(t.TempDir(), "x")
	require.NoError(t, nar.Restore(strings.NewReader(data), path, nar.WithCaseHack(true)))
	for name, contents := range map[string]string{
		"A": "1", "B/X": "2", "B/x~nix~case~hack~1": "3", "a~nix~case~hack~1": "4",
		"b~nix~case~hack~1/x": "5", "c": "6", "É": "7", "é~nix~case~hack~1": "8",
	} {
		got, err := os.ReadFile(filepath.Join(path, filepath.FromSlash(name)))
		require.NoError(t, err)
		assert.Equal(t, contents, string(got), name)
	}
	assert.Equal(t, data, dump(t, path, nar.WithCaseHack(true)))

	t.Run("three of a kind", func(t *testing.T) {
		data := archive(directory(entry("AB", regular("1")), entry("Ab", regular("2")), entry("aB", regular("3")), entry("ab", regular("4"))))
		path := filepath.Join(t.TempDir(), "x")
		require.NoError(t, nar.Restore(strings.NewReader(data), path, nar.WithCaseHack(true)))
		entries, err := os.ReadDir(path)
		require.NoError(t, err)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		assert.Equal(t, []string{"AB", "Ab~nix~case~hack~1", "aB~nix~case~hack~2", "ab~nix~case~hack~3"}, names)
		assert.Equal(t, data, dump(t, path, nar.WithCaseHack(true)))
	})
	for name, entries := range map[string][]string{
		"suffix in the NAR":            {entry("a~nix~case~hack~1", regular(""))},
		"suffix in other case, behind": {entry("A", regular("")), entry("A~NIX~CASE~HACK~1", regular("")), entry("a", regular(""))},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			err := nar.Restore(strings.NewReader(archive(directory(entries...))), path, nar.WithCaseHack(true))
			assert.ErrorContains(t, err, "suffix of the case hack")
			assert.NoFileExists(t, path)
		})
	}
}

func TestRestoreOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	restore := func(o nar.RestoreOption) error { return nar.Restore(strings.NewReader(sample), path, o) }
	assert.ErrorContains(t, restore(nar.WithWorkers(-1)), "must not be negative")
	assert.NoFileExists(t, path)
}

func TestRestoreWholeReader(t *testing.T) {
	verdict := errors.New("the hash is another")
	for name, tt := range map[string]struct {
		r    io.Reader
		want string
	}{
		"ends":                     {strings.NewReader(sample), ""},
		"ends with the last bytes": {iotest.DataErrReader(strings.NewReader(sample)), ""},
		"something behind":         {strings.NewReader(sample + "x"), "bytes after the end of the NAR"},
		"a verdict behind":         {io.MultiReader(strings.NewReader(sample), iotest.ErrReader(verdict)), verdict.Error()},
		"a verdict with the last bytes": {
			iotest.DataErrReader(io.MultiReader(strings.NewReader(sample), iotest.ErrReader(verdict))), verdict.Error(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			err := nar.Restore(tt.r, path, nar.WithWholeReader(), nar.WithStoreMetadata())
			if tt.want == "" {
				require.NoError(t, err)
				assert.Equal(t, sample, dump(t, path))
				return
			}
			assert.ErrorContains(t, err, tt.want)
			assert.NoFileExists(t, path)
			assert.NoDirExists(t, path)
		})
	}
}

func TestRestoreTakesAnUnbufferedStream(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, bytes.NewBufferString(manyFiles()))
		w.CloseWithError(err)
	}()
	path := filepath.Join(t.TempDir(), "x")
	require.NoError(t, nar.Restore(r, path))
	assert.True(t, manyFiles() == dump(t, path))
}
