package nar_test

import (
	"bytes"
	"io"
	"io/fs"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

func openFS(t testing.TB, data string) *nar.FS {
	l, err := nar.List(strings.NewReader(data))
	require.NoError(t, err)
	return nar.NewFS(strings.NewReader(data), l)
}

func TestFSIsAFileSystem(t *testing.T) {
	require.NoError(t, fstest.TestFS(openFS(t, sample), "a", "big", "empty", "link", "small", "z/last"))
	for name, data := range goldenNARs(t) {
		t.Run(name, func(t *testing.T) {
			l, err := nar.List(bytes.NewReader(data))
			require.NoError(t, err)
			if l.Root.Type != nar.TypeDirectory {
				t.Skip("the root of a file system is a directory")
			}
			if strings.HasSuffix(name, "/unicode") {
				t.Skip("has a name that is not UTF-8, which no fs.FS can open")
			}
			fsys := nar.NewFS(bytes.NewReader(data), l)
			var paths []string
			for path := range l.All() {
				if path != "" {
					paths = append(paths, path)
					if _, err := fsys.Stat(path); err != nil {
						t.Skip("has a link that leads nowhere")
					}
				}
			}
			require.NoError(t, fstest.TestFS(fsys, paths...))
		})
	}
}

var linked = archive(directory(
	entry("abs", symlink("/dir/file")),
	entry("chain", symlink("up")),
	entry("dangling", symlink("nowhere")),
	entry("dir", directory(
		entry("back", symlink("../dir")),
		entry("file", executable("contents")),
		entry("up", symlink("../top")),
	)),
	entry("dirlink", symlink("./dir//")),
	entry("loop", symlink("loop2")),
	entry("loop2", symlink("loop")),
	entry("out", symlink("../outside")),
	entry("out2", symlink("dir/../../x")),
	entry("self", symlink(".")),
	entry("selfloop", symlink("selfloop/x")),
	entry("top", regular("top")),
	entry("up", symlink("dir/up")),
))

func TestFSFollowsLinksInsideOnly(t *testing.T) {
	fsys := openFS(t, linked)
	for name, want := range map[string]string{
		"top":                               "top",
		"up":                                "top",
		"chain":                             "top",
		"dirlink/file":                      "contents",
		"dir/back/back/file":                "contents",
		"self/self/dir/back/up":             "top",
		strings.Repeat("self/", 40) + "top": "top",
	} {
		got, err := fs.ReadFile(fsys, name)
		require.NoError(t, err, name)
		assert.Equal(t, want, string(got), name)
		info, err := fs.Stat(fsys, name)
		require.NoError(t, err)
		assert.Equal(t, name[strings.LastIndexByte(name, '/')+1:], info.Name())
		assert.EqualValues(t, len(want), info.Size())
	}
	for _, name := range []string{"abs", "dangling", "out", "out2", "loop", "selfloop", "top/x", "dir/none", strings.Repeat("self/", 41) + "top"} {
		_, err := fsys.Open(name)
		var pe *fs.PathError
		require.ErrorAs(t, err, &pe, name)
		assert.Equal(t, name, pe.Path)
		if strings.Contains(name, "loop") || strings.Contains(name, "self") {
			assert.ErrorContains(t, err, "too many levels of symbolic links")
		} else {
			assert.ErrorIs(t, err, fs.ErrNotExist, name)
		}
		_, err = fsys.Stat(name)
		assert.Error(t, err, name)
	}
	for name, target := range map[string]string{"abs": "/dir/file", "loop": "loop2", "dirlink/up": "../top"} {
		got, err := fs.ReadLink(fsys, name)
		require.NoError(t, err)
		assert.Equal(t, target, got)
		info, err := fs.Lstat(fsys, name)
		require.NoError(t, err)
		assert.Equal(t, fs.ModeSymlink|0o777, info.Mode())
	}
	_, err := fsys.ReadLink("top")
	assert.ErrorIs(t, err, fs.ErrInvalid)
	entries, err := fsys.ReadDir("dirlink")
	require.NoError(t, err)
	assert.Len(t, entries, 3)
}

func TestFSRefuses(t *testing.T) {
	fsys := openFS(t, linked)
	for _, name := range []string{"", "/", "/top", "dir/", "./top", "dir/../top", "..", "a//b"} {
		_, err := fsys.Open(name)
		assert.ErrorIs(t, err, fs.ErrInvalid, "%q", name)
	}
	_, err := fsys.ReadFile("dir")
	assert.ErrorContains(t, err, "is a directory")
	_, err = fsys.ReadDir("top")
	assert.ErrorContains(t, err, "not a directory")
	dir, err := fsys.Open("dir")
	require.NoError(t, err)
	_, err = dir.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "is a directory")

	_, err = nar.NewFS(strings.NewReader(""), &nar.Listing{}).Open(".")
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func TestFSOfAFile(t *testing.T) {
	fsys := openFS(t, archive(regular("contents")))
	data, err := fsys.ReadFile(".")
	require.NoError(t, err)
	assert.Equal(t, "contents", string(data))
	_, err = openFS(t, archive(symlink("."))).Open(".")
	assert.ErrorIs(t, err, fs.ErrNotExist)
	target, err := openFS(t, archive(symlink("t"))).ReadLink(".")
	require.NoError(t, err)
	assert.Equal(t, "t", target)
}

func TestFSFilesAreReaderAtAndSeeker(t *testing.T) {
	f, err := openFS(t, sample).Open("small")
	require.NoError(t, err)
	require.NoError(t, iotest.TestReader(f, []byte("small file")))
	ra, ok := f.(io.ReaderAt)
	require.True(t, ok)
	b := make([]byte, 4)
	n, err := ra.ReadAt(b, 6)
	assert.Equal(t, 4, n)
	assert.True(t, err == nil || err == io.EOF)
	assert.Equal(t, "file", string(b))
	n, err = ra.ReadAt(b, 8)
	assert.Equal(t, 2, n)
	assert.Equal(t, io.EOF, err, "the end of the file, not what follows in the NAR")
	pos, err := f.(io.Seeker).Seek(-4, io.SeekEnd)
	require.NoError(t, err)
	assert.EqualValues(t, 6, pos)
	rest, err := io.ReadAll(f)
	require.NoError(t, err)
	assert.Equal(t, "file", string(rest))
}

// What a listing claims may be false: then reads fail, and take no more memory
// than there are bytes.
func TestFSWithAFalseListing(t *testing.T) {
	for name, n := range map[string]*nar.Node{
		"too large":   {Type: nar.TypeRegular, Size: 1 << 40, ContentOffset: 96},
		"all of it":   {Type: nar.TypeRegular, Size: math.MaxInt64, ContentOffset: 96},
		"overflowing": {Type: nar.TypeRegular, Size: math.MaxInt64, ContentOffset: math.MaxInt64},
		"far away":    {Type: nar.TypeRegular, Size: 1, ContentOffset: math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			n.Name = "f"
			fsys := nar.NewFS(strings.NewReader(sample), &nar.Listing{Root: &nar.Node{Type: nar.TypeDirectory, Entries: []*nar.Node{n}}})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := fsys.ReadFile("f")
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
			runtime.ReadMemStats(&after)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
			f, err := fsys.Open("f")
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, f)
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
			_, err = f.(io.ReaderAt).ReadAt(make([]byte, 1<<20), 0)
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		})
	}
}

// rangeReader counts what an io.ReaderAt is asked for.
type rangeReader struct {
	io.ReaderAt
	calls int
}

func (r *rangeReader) ReadAt(p []byte, off int64) (int, error) {
	r.calls++
	return r.ReaderAt.ReadAt(p, off)
}

func TestFSReadsInFewRanges(t *testing.T) {
	contents := strings.Repeat("0123456789abcdef", 3<<16) // 3 MiB
	data := archive(directory(entry("big", regular(contents)), entry("small", regular(contents[:1<<20]))))
	l, err := nar.List(strings.NewReader(data))
	require.NoError(t, err)
	open := func(t *testing.T, name string) (*rangeReader, *nar.FS, fs.File) {
		ra := &rangeReader{ReaderAt: strings.NewReader(data)}
		fsys := nar.NewFS(ra, l)
		f, err := fsys.Open(name)
		require.NoError(t, err)
		assert.Zero(t, ra.calls, "Open reads nothing")
		return ra, fsys, f
	}
	t.Run("a read is a range", func(t *testing.T) {
		ra, _, f := open(t, "big")
		for i := range 3 {
			_, err := f.Read(make([]byte, 10))
			require.NoError(t, err)
			assert.Equal(t, i+1, ra.calls)
		}
	})
	t.Run("ReadFile", func(t *testing.T) {
		ra, fsys, _ := open(t, "small")
		got, err := fsys.ReadFile("small")
		require.NoError(t, err)
		assert.True(t, contents[:1<<20] == string(got))
		assert.Equal(t, 1, ra.calls)
		got, err = fsys.ReadFile("big")
		require.NoError(t, err)
		assert.True(t, contents == string(got))
		assert.LessOrEqual(t, ra.calls, 4)
	})
	t.Run("Copy", func(t *testing.T) {
		ra, _, f := open(t, "big")
		_, err := io.CopyN(io.Discard, f, 10)
		require.NoError(t, err)
		ra.calls = 0
		var out strings.Builder
		_, err = io.Copy(&out, f)
		require.NoError(t, err)
		assert.True(t, contents[10:] == out.String())
		assert.LessOrEqual(t, ra.calls, 4)
		n, err := io.Copy(&out, f)
		require.NoError(t, err)
		assert.Zero(t, n)
	})
}
