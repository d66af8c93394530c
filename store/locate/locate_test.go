package locate_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/gc"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/locate"
	"example.com/nixs3/store/storetest"
)

// cacheOf returns a cache, and the requests to its bucket.
func cacheOf(t *testing.T, b blob.Bucket) (*store.Cache, *storetest.FaultBucket) {
	log := storetest.NewFaultBucket(b, nil)
	c, err := store.New(log, store.Settings{WriteListing: true})
	require.NoError(t, err)
	return c, log
}

// add adds a path with files of the given names; a name that ends in * is an
// executable.
func add(t *testing.T, c *store.Cache, name string, files ...string) storepath.Path {
	dir := filepath.Join(t.TempDir(), name)
	for _, f := range files {
		plain, isExecutable := strings.CutSuffix(f, "*")
		full := filepath.Join(dir, plain)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		mode := os.FileMode(0o644)
		if isExecutable {
			mode = 0o755
		}
		require.NoError(t, os.WriteFile(full, []byte(f), mode))
	}
	info, err := store.AddPath(t.Context(), c, dir, store.AddPathOptions{})
	require.NoError(t, err)
	return info.Path
}

// find returns the matches as <name of the path>/<file>, sorted.
func find(t *testing.T, index *locate.Index, err error, pattern string) []string {
	t.Helper()
	require.NoError(t, err)
	defer index.Close()
	p, err := locate.ParsePattern(pattern)
	require.NoError(t, err)
	found := []string{}
	for m, err := range index.Find(p) {
		require.NoError(t, err)
		found = append(found, m.Path.Name()+"/"+m.File)
	}
	slices.Sort(found)
	return found
}

func locateIn(t *testing.T, c *store.Cache, pattern string) []string {
	t.Helper()
	index, err := locate.Open(t.Context(), c)
	return find(t, index, err, pattern)
}

func update(t *testing.T, c *store.Cache, opts locate.Options) *locate.Report {
	t.Helper()
	report, err := locate.Update(t.Context(), c, opts)
	require.NoError(t, err)
	report.Elapsed = 0
	return report
}

func TestFind(t *testing.T) {
	c, _ := cacheOf(t, memblob.New())
	_, err := locate.Open(t.Context(), c)
	require.ErrorIs(t, err, store.ErrNotFound)
	add(t, c, "hello", "bin/hello*", "share/man/hello.1", "share/doc/hello/[1]")
	add(t, c, "world", "bin/world*", "libexec/hello", "hello")
	update(t, c, locate.Options{})
	for pattern, want := range map[string][]string{
		"hello":            {"hello/bin/hello", "hello/share/doc/hello", "world/hello", "world/libexec/hello"},
		"bin/hello":        {"hello/bin/hello"},
		"/bin/hello":       {"hello/bin/hello"},
		"/hello":           {"world/hello"},
		"bin":              {"hello/bin", "world/bin"},
		"bin/":             {"hello/bin", "world/bin"},
		"bin/*":            {"hello/bin/hello", "world/bin/world"},
		"hello.?":          {"hello/share/man/hello.1"},
		"[vw]*d":           {"world/bin/world"},
		`\[1\]`:            {"hello/share/doc/hello/[1]"},
		"share/*/hello*":   {"hello/share/doc/hello", "hello/share/man/hello.1"},
		"in/hello":         {},
		"bin/hell":         {},
		"absent":           {},
		"hello/bin/hello":  {},
		"share/*":          {"hello/share/doc", "hello/share/man"},
		"share/man/hello*": {"hello/share/man/hello.1"},
	} {
		require.Equal(t, want, locateIn(t, c, pattern), pattern)
	}
	for _, bad := range []string{"", "/", "[", "bin/[a", `a\`} {
		_, err := locate.ParsePattern(bad)
		require.Error(t, err, bad)
	}
	index, err := locate.Open(t.Context(), c)
	require.NoError(t, err)
	defer index.Close()
	p, err := locate.ParsePattern("bin/hello")
	require.NoError(t, err)
	for m, err := range index.Find(p) {
		require.NoError(t, err)
		require.Equal(t, locate.Match{Path: m.Path, File: "bin/hello", Type: nar.TypeRegular, Executable: true, Size: 10}, m)
	}
}

func TestUpdateIsIncremental(t *testing.T) {
	b := memblob.New()
	c, log := cacheOf(t, b)
	require.Equal(t, &locate.Report{Bytes: 1}, withSize(update(t, c, locate.Options{}), 1), "an empty cache")
	var paths []storepath.Path
	for i := range 20 {
		paths = append(paths, add(t, c, fmt.Sprintf("path-%d", i), fmt.Sprintf("bin/program-%d", i)))
	}
	require.Equal(t, &locate.Report{Paths: 20, Added: 20, Bytes: 1}, withSize(update(t, c, locate.Options{}), 1))
	require.Len(t, locateIn(t, c, "program-*"), 20)

	log.ResetLog()
	require.Equal(t, &locate.Report{Paths: 20}, update(t, c, locate.Options{}), "nothing is new, and nothing is written")
	require.LessOrEqual(t, len(log.Log()), 3)

	require.NoError(t, c.Delete(t.Context(), paths[0], paths[7]))
	added := add(t, c, "another", "bin/another")
	log.ResetLog()
	require.Equal(t, &locate.Report{Paths: 19, Added: 1, Dropped: 2, Bytes: 1}, withSize(update(t, c, locate.Options{}), 1))
	gets := []string{}
	for _, op := range log.Log() {
		if strings.Contains(op.Key, ".") {
			gets = append(gets, op.Key)
		}
	}
	require.Equal(t, []string{layout.NarInfoKey(added.HashPart()), layout.ListingKey(added.HashPart())}, gets)
	require.Len(t, locateIn(t, c, "program-*"), 18)
	require.Equal(t, []string{"another/bin/another"}, locateIn(t, c, "another"))
	_, err := storetest.CheckCache(t.Context(), b, storetest.CheckOptions{})
	require.NoError(t, err)
}

// withSize replaces a size, which depends on the compression, if there is one.
func withSize(r *locate.Report, size int64) *locate.Report {
	if r.Bytes > 0 {
		r.Bytes = size
	}
	return r
}

func TestPathsWithoutListing(t *testing.T) {
	b := memblob.New()
	c, _ := cacheOf(t, b)
	add(t, c, "listed", "bin/listed")
	missing, broken := add(t, c, "missing", "bin/missing"), add(t, c, "broken", "bin/broken")
	require.NoError(t, b.Delete(t.Context(), layout.ListingKey(missing.HashPart())))
	put(t, b, layout.ListingKey(broken.HashPart()), []byte(`{"version":1`))
	orphan := strings.Repeat("0", 32)
	put(t, b, layout.ListingKey(orphan), []byte(`{"version":1,"root":{"type":"directory","entries":{}}}`))

	report := update(t, c, locate.Options{})
	require.Equal(t, 1, report.Paths)
	require.Equal(t, 1, report.Unlisted)
	require.Len(t, report.Failed, 1)
	require.ErrorContains(t, report.Failed[0], broken.String())

	report = update(t, c, locate.Options{Archives: true})
	require.Equal(t, 3, report.Paths)
	require.Equal(t, 2, report.Added)
	require.Empty(t, report.Failed)
	require.Len(t, locateIn(t, c, "bin/*"), 3)
}

func put(t *testing.T, b blob.Bucket, key string, data []byte) {
	_, err := b.Put(t.Context(), key, bytes.NewReader(data), blob.PutOptions{})
	require.NoError(t, err)
}

func TestIndexInAFile(t *testing.T) {
	b := memblob.New()
	c, log := cacheOf(t, b)
	add(t, c, "a", "bin/a")
	name := filepath.Join(t.TempDir(), "files.index")
	log.ResetLog()
	require.Equal(t, 1, update(t, c, locate.Options{File: name}).Added)
	require.Equal(t, 1, update(t, c, locate.Options{File: name}).Paths)
	for _, op := range log.Log() {
		require.NotContains(t, op.String(), "Put")
	}
	index, err := locate.OpenFile(name)
	require.Equal(t, []string{"a/bin/a"}, find(t, index, err, "a"))
	left, err := os.ReadDir(filepath.Dir(name))
	require.NoError(t, err)
	require.Len(t, left, 1)
	_, err = locate.OpenFile(name + ".absent")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = locate.Update(t.Context(), c, locate.Options{File: filepath.Join(name, "x")})
	require.Error(t, err)
}

// Whatever is in the place of the index is refused by readers, and replaced.
func TestDamagedIndex(t *testing.T) {
	b := memblob.New()
	c, _ := cacheOf(t, b)
	for i := range 9 {
		add(t, c, fmt.Sprintf("path-%d", i), "bin/program")
	}
	update(t, c, locate.Options{})
	good, _, err := blob.ReadAll(t.Context(), b, layout.FileIndexKey, 1<<20)
	require.NoError(t, err)
	damaged := map[string][]byte{
		"nothing": {}, "text": []byte("<html>"), "one byte": good[:1], "half": good[:len(good)/2], "not its end": good[:len(good)-5],
	}
	for i := range 8 {
		data := bytes.Clone(good)
		data[4+i*(len(data)-8)/8] ^= 0x55
		damaged[fmt.Sprint("flipped ", i)] = data
	}
	for name, data := range damaged {
		t.Run(name, func(t *testing.T) {
			put(t, b, layout.FileIndexKey, data)
			err := read(t, c)
			require.ErrorIs(t, err, locate.ErrFormat)
			require.ErrorContains(t, err, layout.FileIndexKey)
			require.Equal(t, 9, update(t, c, locate.Options{}).Added)
			require.NoError(t, read(t, c))
		})
	}
	other, err := store.New(b, store.Settings{StoreDir: "/gnu/store"})
	require.NoError(t, err)
	_, err = locate.Open(t.Context(), other)
	require.ErrorIs(t, err, store.ErrStoreDir)
}

func read(t *testing.T, c *store.Cache) error {
	index, err := locate.Open(t.Context(), c)
	if err != nil {
		return err
	}
	defer index.Close()
	p, err := locate.ParsePattern("*")
	require.NoError(t, err)
	for _, err := range index.Find(p) {
		if err != nil {
			return err
		}
	}
	return nil
}

// A failure of any request leaves the old index or the new one, and failures of
// the transport do not count as damage.
func TestUpdateFails(t *testing.T) {
	fault := storetest.Fault{Kind: "error"}
	for n := 0; ; n++ {
		b := memblob.New()
		c, _ := cacheOf(t, b)
		add(t, c, "old", "bin/old")
		update(t, c, locate.Options{})
		add(t, c, "new", "bin/new")
		failing, err := store.New(storetest.NewFaultBucket(b, storetest.FailAt(n, fault)), store.Settings{})
		require.NoError(t, err)
		report, err := locate.Update(t.Context(), failing, locate.Options{})
		if err != nil {
			require.ErrorIs(t, err, storetest.ErrInjected)
		}
		found := locateIn(t, c, "bin/*")
		require.Contains(t, found, "old/bin/old")
		if err == nil && len(report.Failed) == 0 {
			require.Len(t, found, 2)
			require.Greater(t, n, 4)
			return
		}
		require.Len(t, found, 1)
	}
}

// A collection takes paths, and leaves the index.
func TestCollectKeepsTheIndex(t *testing.T) {
	c, _ := cacheOf(t, memblob.New())
	kept := add(t, c, "kept", "bin/kept")
	add(t, c, "gone", "bin/gone")
	update(t, c, locate.Options{})
	report, err := gc.Collect(t.Context(), c, gc.Options{Roots: []storepath.Path{kept}, Recent: -1, Grace: -1})
	require.NoError(t, err)
	require.NotEmpty(t, report.Gone)
	require.Len(t, locateIn(t, c, "bin/*"), 2)
	require.Equal(t, 1, update(t, c, locate.Options{}).Dropped)
	require.Equal(t, []string{"kept/bin/kept"}, locateIn(t, c, "bin/*"))
}
