package nar_test

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

func unixOnly(t testing.TB) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes, names or files")
	}
}

func writeFile(t testing.TB, path, contents string, mode fs.FileMode) {
	require.NoError(t, os.WriteFile(path, []byte(contents), 0o600))
	require.NoError(t, os.Chmod(path, mode))
}

func TestDumpTakesOnlyTheOwnersXBit(t *testing.T) {
	unixOnly(t)
	for _, tt := range []struct {
		mode fs.FileMode
		want string
	}{
		{0o644, regular("x")},
		{0o400, regular("x")},
		{0o500, executable("x")},
		{0o755, executable("x")},
		{0o611, regular("x")},
		{0o444 | fs.ModeSetuid, regular("x")},
		{0o700 | fs.ModeSetuid, executable("x")},
	} {
		t.Run(tt.mode.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			writeFile(t, path, "x", tt.mode)
			assert.Equal(t, archive(tt.want), dump(t, path))
		})
	}
}

// makeTree makes a directory with something of every kind and returns it and
// its node.
func makeTree(t testing.TB) (path, node string) {
	path = t.TempDir()
	big := strings.Repeat("0123456789abcdef", 60_000) // more than three blocks
	require.NoError(t, os.Mkdir(filepath.Join(path, "dir"), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(path, "void"), 0o755))
	writeFile(t, filepath.Join(path, "dir", "tool"), "#!/bin/sh\n", 0o755)
	writeFile(t, filepath.Join(path, "dir.x"), "", 0o644)
	writeFile(t, filepath.Join(path, "big"), big, 0o644)
	require.NoError(t, os.Symlink("dir/tool", filepath.Join(path, "link")))
	return path, directory(
		entry("big", regular(big)),
		entry("dir", directory(entry("tool", executable("#!/bin/sh\n")))),
		entry("dir.x", regular("")),
		entry("link", symlink("dir/tool")),
		entry("void", directory()),
	)
}

func TestDump(t *testing.T) {
	unixOnly(t)
	path, node := makeTree(t)
	t.Run("directory", func(t *testing.T) { assert.Equal(t, archive(node), dump(t, path)) })
	t.Run("trailing slash", func(t *testing.T) { assert.Equal(t, archive(node), dump(t, path+"/")) })
	t.Run("relative path", func(t *testing.T) {
		t.Chdir(path)
		assert.Equal(t, archive(node), dump(t, "."))
		assert.Equal(t, archive(executable("#!/bin/sh\n")), dump(t, "dir/tool"))
	})
	t.Run("link at the path itself", func(t *testing.T) {
		assert.Equal(t, archive(symlink("dir/tool")), dump(t, filepath.Join(path, "link")))
	})
	t.Run("fs.FS", func(t *testing.T) {
		var out bytes.Buffer
		require.NoError(t, nar.DumpFS(&out, os.DirFS(path), "."))
		assert.Equal(t, archive(node), out.String())
	})
	t.Run("fs.FS in memory", func(t *testing.T) {
		fsys := fstest.MapFS{
			"d/b":   {Data: []byte("b"), Mode: 0o755},
			"d/a":   {Data: []byte("a"), Mode: 0o444},
			"d.txt": {Data: []byte("c")},
			"l":     {Data: []byte("d/a"), Mode: fs.ModeSymlink},
		}
		var out bytes.Buffer
		require.NoError(t, nar.DumpFS(&out, fsys, "."))
		assert.Equal(t, archive(directory(
			entry("d", directory(entry("a", regular("a")), entry("b", executable("b")))),
			entry("d.txt", regular("c")),
			entry("l", symlink("d/a")),
		)), out.String())
		out.Reset()
		require.NoError(t, nar.DumpFS(&out, fsys, "d/b"))
		assert.Equal(t, archive(executable("b")), out.String())
	})
}

func TestDumpOddNames(t *testing.T) {
	unixOnly(t)
	if runtime.GOOS == "darwin" {
		t.Skip("macOS only has names that are UTF-8")
	}
	path := t.TempDir()
	var entries []string
	for _, name := range []string{"\x01", " ", "-", "A", "\\", "a", "a\nb", "~nix~case~hack~1", "\x80", "\xff\xfe", strings.Repeat("\xff", 255)} {
		writeFile(t, filepath.Join(path, name), name, 0o644)
		entries = append(entries, entry(name, regular(name)))
	}
	assert.Equal(t, archive(directory(entries...)), dump(t, path, nar.WithCaseHack(false)))
}

func TestDumpFilter(t *testing.T) {
	unixOnly(t)
	path, _ := makeTree(t)
	var asked []string
	got := dump(t, path, nar.WithFilter(func(path string, d fs.DirEntry) bool {
		asked = append(asked, path)
		info, err := d.Info()
		require.NoError(t, err)
		require.Equal(t, d.Type(), info.Mode().Type())
		return path == "dir" || strings.HasPrefix(path, "dir/") || d.Type()&fs.ModeSymlink != 0
	}))
	assert.Equal(t, archive(directory(
		entry("dir", directory(entry("tool", executable("#!/bin/sh\n")))),
		entry("link", symlink("dir/tool")),
	)), got)
	assert.Equal(t, []string{"big", "dir", "dir/tool", "dir.x", "link", "void"}, asked)
}

func TestDumpUndoesTheCaseHack(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{"x", "X~nix~case~hack~1", "a~nix~case~hack~1b", "dir~nix~case~hack~2"} {
		if strings.HasPrefix(name, "dir") {
			require.NoError(t, os.Mkdir(filepath.Join(path, name), 0o755))
			writeFile(t, filepath.Join(path, name, "f"), "f", 0o644)
			continue
		}
		writeFile(t, filepath.Join(path, name), name, 0o644)
	}
	var asked []string
	assert.Equal(t, archive(directory(
		entry("X", regular("X~nix~case~hack~1")),
		entry("a", regular("a~nix~case~hack~1b")),
		entry("dir", directory(entry("f", regular("f")))),
		entry("x", regular("x")),
	)), dump(t, path, nar.WithCaseHack(true), nar.WithFilter(func(path string, _ fs.DirEntry) bool {
		asked = append(asked, path)
		return true
	})))
	assert.Equal(t, []string{"X", "a", "dir", "dir/f", "x"}, asked)

	writeFile(t, filepath.Join(path, "x~nix~case~hack~1"), "", 0o644)
	err := nar.Dump(io.Discard, path, nar.WithCaseHack(true))
	assert.ErrorContains(t, err, `the same name without the case hack`)
}

func TestDumpFails(t *testing.T) {
	unixOnly(t)
	t.Run("missing", func(t *testing.T) {
		assert.ErrorIs(t, nar.Dump(io.Discard, filepath.Join(t.TempDir(), "x")), fs.ErrNotExist)
		assert.ErrorIs(t, nar.DumpFS(io.Discard, fstest.MapFS{}, "x"), fs.ErrNotExist)
	})
	t.Run("device", func(t *testing.T) {
		assert.ErrorContains(t, nar.Dump(io.Discard, os.DevNull), "expected a regular file, directory or symbolic link")
	})
	t.Run("too deep", func(t *testing.T) {
		path := t.TempDir()
		require.NoError(t, os.MkdirAll(path+strings.Repeat("/d", 63), 0o755))
		require.NoError(t, nar.Dump(io.Discard, path))
		require.NoError(t, os.MkdirAll(path+strings.Repeat("/d", 64), 0o755))
		assert.ErrorContains(t, nar.Dump(io.Discard, path), "nested too deeply")
	})
	t.Run("unreadable", func(t *testing.T) {
		if os.Getuid() == 0 {
			t.Skip("root may read everything")
		}
		path := t.TempDir()
		writeFile(t, filepath.Join(path, "f"), "x", 0)
		assert.ErrorIs(t, nar.Dump(io.Discard, path), fs.ErrPermission)
	})
}

// sized is a file system with one file whose contents do not have the size
// that Stat tells.
type sized struct{ fstest.MapFS }

func (s sized) Open(name string) (fs.File, error) {
	f, err := s.MapFS.Open(name)
	return sizedFile{f}, err
}

type sizedFile struct{ fs.File }

func (f sizedFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return sizedInfo{info}, err
}

type sizedInfo struct{ fs.FileInfo }

func (i sizedInfo) Size() int64 { return 1000 }

func TestDumpNoticesThatAFileChangesItsSize(t *testing.T) {
	for name, size := range map[string]int{"shrinks": 999, "grows": 1001, "becomes empty": 0, "grows much": 1_000_000} {
		t.Run(name, func(t *testing.T) {
			fsys := sized{fstest.MapFS{"d/f": {Data: make([]byte, size)}}}
			err := nar.DumpFS(io.Discard, fsys, "d/f")
			require.Error(t, err)
			err = nar.DumpFS(io.Discard, onlyOpen{fsys}, ".")
			require.Error(t, err)
			assert.Contains(t, err.Error(), `"d/f"`)
		})
	}
	t.Run("on disk", func(t *testing.T) {
		unixOnly(t)
		path := t.TempDir()
		big := filepath.Join(path, "big")
		writeFile(t, big, strings.Repeat("x", 8<<20), 0o644)
		// The first write finds the file half read.
		w := writerFunc(func(p []byte) (int, error) {
			return len(p), os.Truncate(big, 1<<20)
		})
		err := nar.Dump(w, path)
		require.Error(t, err)
		assert.Contains(t, err.Error(), `"big"`)
	})
}

// onlyOpen hides the ReadDir and Stat of a file system's embedded MapFS.
type onlyOpen struct{ fsys fs.FS }

func (o onlyOpen) Open(name string) (fs.File, error) {
	if f, err := o.fsys.(sized).MapFS.Stat(name); err == nil && f.IsDir() {
		return o.fsys.(sized).MapFS.Open(name)
	}
	return o.fsys.Open(name)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestDumpEndsWithItsWriter(t *testing.T) {
	unixOnly(t)
	path := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		writeFile(t, filepath.Join(path, name), strings.Repeat("x", 3<<20), 0o644)
	}
	dump(t, path) // the runtime keeps a few files of its own
	leavesNothing(t, func() {
		for _, after := range []int{0, 1, 300_000, 5 << 20} {
			assert.ErrorIs(t, nar.Dump(&failingWriter{left: after, err: os.ErrClosed}, path), os.ErrClosed)
			assert.ErrorIs(t, nar.Dump(&failingWriter{left: after}, path), io.ErrShortWrite)
		}
		assert.PanicsWithValue(t, "in Write", func() {
			nar.Dump(writerFunc(func([]byte) (int, error) { panic("in Write") }), path)
		})
	})
}

// leavesNothing fails the test if goroutines of f stay behind, or open files.
func leavesNothing(t *testing.T, f func()) {
	t.Helper()
	files := openFiles(t)
	synctest.Test(t, func(*testing.T) { f() }) // ends with the last goroutine
	assert.LessOrEqual(t, openFiles(t), files, "files")
}

func TestDumpAllocatesAtMostSixTimesPerEntry(t *testing.T) {
	path := t.TempDir()
	const dirs, perDir = 10, 100
	for i := range dirs {
		dir := filepath.Join(path, string(rune('a'+i)))
		require.NoError(t, os.Mkdir(dir, 0o755))
		for j := range perDir {
			writeFile(t, filepath.Join(dir, "file-"+string(rune('0'+j/10))+string(rune('0'+j%10))), "x", 0o644)
		}
	}
	allocs := testing.AllocsPerRun(3, func() { require.NoError(t, nar.Dump(io.Discard, path)) })
	assert.LessOrEqual(t, allocs/(dirs*perDir+dirs+1), 6.0)
}

func TestDumpSurvivesItsFilter(t *testing.T) {
	path, _ := makeTree(t)
	t.Run("panic", func(t *testing.T) {
		assert.PanicsWithValue(t, "in the filter", func() {
			nar.Dump(io.Discard, path, nar.WithFilter(func(string, fs.DirEntry) bool { panic("in the filter") }))
		})
	})
	t.Run("Goexit", func(t *testing.T) {
		assert.Error(t, nar.Dump(io.Discard, path, nar.WithFilter(func(string, fs.DirEntry) bool {
			runtime.Goexit()
			return true
		})))
	})
}
