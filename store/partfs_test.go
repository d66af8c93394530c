package store_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// bigTree makes a tree of 11 MiB: large files and small ones around them.
func bigTree(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	r := rand.New(rand.NewPCG(3, 4))
	write := func(name string, n int) {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		var b []byte
		for len(b) < n {
			b = append(b, bytes.Repeat([]byte{byte(r.Uint32())}, 1+r.IntN(6))...)
		}
		require.NoError(t, os.WriteFile(file, b[:n], 0o644))
	}
	for i := range 40 {
		write(fmt.Sprintf("a/small-%d", i), 1000*i)
	}
	write("bin/one", 5<<20)
	write("bin/wanted", 1<<20)
	write("lib/two", 5<<20)
	return dir
}

func TestUnverifiedFS(t *testing.T) {
	tree := bigTree(t)
	wanted, err := os.ReadFile(filepath.Join(tree, "bin", "wanted"))
	require.NoError(t, err)
	for _, compression := range []string{"none", "zstd", "zstd without a table", "xz"} {
		t.Run(compression, func(t *testing.T) {
			name, _, strip := strings.Cut(compression, " ")
			server := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
			query := "&write-nar-listing=true&compression=" + name
			if name == "xz" {
				query = "&write-nar-listing=true&compression=none" // until it is compressed by the xz command
			}
			cache := s3Cache(t, server, query)
			info, err := store.AddPath(t.Context(), cache, tree, store.AddPathOptions{Name: "tree"})
			require.NoError(t, err)
			switch {
			case strip:
				info = restored(t, cache, info, name, func(file []byte) []byte { return file[:len(file)-seekTable(file)] })
				require.NoError(t, cache.PutIndex(t.Context(), info.Path))
			case name == "xz":
				if _, err := exec.LookPath("xz"); err != nil {
					t.Skip("xz is not installed")
				}
				info = restored(t, s3Cache(t, server, "&write-nar-listing=true"), info, name, func([]byte) []byte { return xzBlocks(t, cache, info) })
			}

			reader := s3Cache(t, server, query)
			before := reader.Stats()
			server.ResetLog()
			archive, err := reader.UnverifiedFS(t.Context(), info.Path)
			require.NoError(t, err)
			assert.False(t, archive.Verified)
			got, err := fs.ReadFile(archive, "bin/wanted")
			require.NoError(t, err)
			require.True(t, bytes.Equal(wanted, got))
			requests := len(server.Requests())
			limit := 4 // narinfo, listing, end of the archive, the file
			if strip {
				limit = 5 // and the index object
			}
			assert.LessOrEqual(t, requests, limit)
			assert.Less(t, reader.Stats().BytesRead-before.BytesRead, int64(6<<20))

			// What is walked needs the listing alone.
			files := 0
			require.NoError(t, fs.WalkDir(archive, ".", func(string, fs.DirEntry, error) error { files++; return nil }))
			assert.Greater(t, files, 40)
			assert.Len(t, server.Requests(), requests)

			for _, name := range []string{"a/small-7", "lib/two", "bin/one"} {
				want, err := os.ReadFile(filepath.Join(tree, name))
				require.NoError(t, err)
				got, err := fs.ReadFile(archive, name)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got), name)
			}
			require.NoError(t, archive.Close())

			whole, err := reader.FS(t.Context(), info.Path)
			require.NoError(t, err)
			assert.True(t, whole.Verified)
			require.NoError(t, whole.Close())
		})
	}
}

// seekTable is the size of the table at the end of an archive.
func seekTable(file []byte) int {
	end := file[len(file)-9:]
	return 8 + 8*(int(end[0])|int(end[1])<<8) + 9
}

// xzBlocks compresses a path's NAR as xz with several blocks.
func xzBlocks(t *testing.T, cache *store.Cache, info *narinfo.NarInfo) []byte {
	r, err := cache.OpenNAR(t.Context(), info)
	require.NoError(t, err)
	defer r.Close()
	cmd := exec.Command("xz", "-c", "-0", "-T1", "--block-size=1500000")
	cmd.Stdin = r
	out, err := cmd.Output()
	require.NoError(t, err)
	return out
}

// restored publishes a path anew with its archive changed.
func restored(t *testing.T, cache *store.Cache, info *narinfo.NarInfo, compression string, change func([]byte) []byte) *narinfo.NarInfo {
	t.Helper()
	r, err := cache.OpenCompressed(t.Context(), info)
	require.NoError(t, err)
	var file bytes.Buffer
	_, err = file.ReadFrom(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	claims := narinfo.NarInfo{PathInfo: info.PathInfo, Compression: narinfo.Compression(compression)}
	added, err := cache.Add(t.Context(), &info.PathInfo, bytes.NewReader(change(file.Bytes())), store.AddOptions{Repair: true, Encoded: &claims})
	require.NoError(t, err)
	require.NotEqual(t, info.FileHash, added.FileHash)
	return added
}

// TestUnverifiedFSFetchesWhole names the archives that are read whole and
// verified.
func TestUnverifiedFSFetchesWhole(t *testing.T) {
	tree := bigTree(t)
	for name, parameters := range map[string]string{
		"no listing":      "compression=zstd",
		"gzip":            "compression=gzip&write-nar-listing=true",
		"br":              "compression=br&write-nar-listing=true&compression-level=1",
		"local-nar-cache": "compression=zstd&write-nar-listing=true&local-nar-cache=" + t.TempDir(),
	} {
		t.Run(name, func(t *testing.T) {
			cache := open(t, "mem://?"+parameters)
			info, err := store.AddPath(t.Context(), cache, tree, store.AddPathOptions{Name: "tree"})
			require.NoError(t, err)
			archive, err := cache.UnverifiedFS(t.Context(), info.Path)
			require.NoError(t, err)
			assert.True(t, archive.Verified)
			require.NoError(t, archive.Close())
			if name == "gzip" {
				require.ErrorIs(t, cache.PutIndex(t.Context(), info.Path), codec.ErrNoIndex)
			}
		})
	}
}

// TestUnverifiedFSIsLiedTo holds that hostile listings, tables and archives end
// in an error or in a verified read, never in other bytes of a piece.
func TestUnverifiedFSIsLiedTo(t *testing.T) {
	tree := bigTree(t)
	for name, damage := range map[string]func(t *testing.T, cache *store.Cache, info *narinfo.NarInfo){
		"a byte of a piece": func(t *testing.T, cache *store.Cache, info *narinfo.NarInfo) {
			change(t, cache, info.URL, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		},
		"an archive that is cut": func(t *testing.T, cache *store.Cache, info *narinfo.NarInfo) {
			change(t, cache, info.URL, func(b []byte) []byte { return b[:len(b)/2] })
		},
		"an offset beyond the end": func(t *testing.T, cache *store.Cache, info *narinfo.NarInfo) {
			change(t, cache, layout.ListingKey(info.Path.HashPart()), func(b []byte) []byte {
				return bytes.ReplaceAll(b, []byte(`"narOffset":`), []byte(`"narOffset":9`))
			})
		},
		"a size without end": func(t *testing.T, cache *store.Cache, info *narinfo.NarInfo) {
			change(t, cache, layout.ListingKey(info.Path.HashPart()), func(b []byte) []byte {
				return bytes.ReplaceAll(b, []byte(`"size":`), []byte(`"size":99999999`))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache := open(t, "mem://?write-nar-listing=true")
			info, err := store.AddPath(t.Context(), cache, tree, store.AddPathOptions{Name: "tree"})
			require.NoError(t, err)
			damage(t, cache, info)
			archive, err := cache.UnverifiedFS(t.Context(), info.Path)
			if err != nil {
				return
			}
			defer archive.Close()
			failed := false
			for _, file := range []string{"bin/one", "bin/wanted", "lib/two"} {
				if _, err := fs.ReadFile(archive, file); err != nil {
					failed = true
				}
			}
			assert.True(t, failed)
		})
	}
}

// change changes an object of a cache.
func change(t *testing.T, cache *store.Cache, key string, f func([]byte) []byte) {
	t.Helper()
	data, attrs, err := blob.ReadAll(t.Context(), cache.Bucket(), key, 1<<30)
	require.NoError(t, err)
	_, err = cache.Bucket().Put(t.Context(), key, bytes.NewReader(f(data)), blob.PutOptions{ContentType: attrs.ContentType, ContentEncoding: attrs.ContentEncoding})
	require.NoError(t, err)
}
