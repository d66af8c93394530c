package serve_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
	"example.com/nixs3/store/storetest"
)

// TestMembersByRanges counts the requests and the bytes of a file of the page,
// and of a debug file, that lie behind large files in an archive.
func TestMembersByRanges(t *testing.T) {
	id := strings.Repeat("ab", 20)
	tree := t.TempDir()
	random := rand.NewChaCha8([32]byte{})
	noise := func(n int) []byte {
		data := make([]byte, n)
		_, _ = random.Read(data)
		return data
	}
	debug := noise(300 << 10)
	for name, data := range map[string][]byte{
		"a": noise(12 << 20), "b": noise(12 << 20), "c.txt": []byte("the text"), "d": noise(12 << 20),
		"lib/debug/.build-id/" + id[:2] + "/" + id[2:] + ".debug": debug, "z": noise(12 << 20),
	} {
		file := filepath.Join(tree, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, data, 0o644))
	}
	for _, tt := range []struct {
		compression string
		ranges      bool
	}{{"none", true}, {"zstd", true}, {"gzip", false}} {
		t.Run(tt.compression, func(t *testing.T) {
			b := storetest.NewFaultBucket(memblob.New(), nil)
			c, err := store.New(b, store.Settings{Compression: narinfo.Compression(tt.compression), WriteListing: true, IndexDebugInfo: true})
			require.NoError(t, err)
			info, err := store.AddPath(t.Context(), c, tree, store.AddPathOptions{Name: "x"})
			require.NoError(t, err)
			g := newGateway(t, c, serve.Options{Page: &serve.Page{}})
			// cost returns the requests for the archive and the bytes of it.
			cost := func() (gets int, read int64) {
				for _, op := range b.Log() {
					if op.Op != "Get" || layout.KindOf(op.Key) != layout.Archive {
						continue
					}
					gets++
					if op.Get.Length == 0 {
						read += info.FileSize
					}
					read += op.Get.Length
				}
				b.ResetLog()
				return gets, read
			}
			check := func(what string, most int64) {
				gets, read := cost()
				if !tt.ranges {
					assert.GreaterOrEqual(t, read, info.FileSize)
					return
				}
				assert.LessOrEqual(t, gets, 8, what)
				assert.LessOrEqual(t, read, most, what)
			}
			cost()
			got := g.get(t, "/-/path/"+info.Path.String()+"/c.txt")
			require.Equal(t, 200, got.status)
			assert.Contains(t, got.body, "the text")
			assert.Equal(t, tt.ranges, strings.Contains(got.body, "was not verified"))
			check("page", 1<<20)

			got = g.get(t, "/buildid/"+id+"/debuginfo")
			require.Equal(t, 200, got.status)
			assert.True(t, bytes.Equal(debug, []byte(got.body)))
			check("debug file", 14<<20) // the first piece of each large file before it
			got = g.get(t, "/buildid/"+id+"/debuginfo", "Range: bytes=1000-1999")
			require.Equal(t, 206, got.status)
			assert.Equal(t, string(debug[1000:2000]), got.body)
			check("range of a debug file", 14<<20)
			assert.Equal(t, 200, g.do(t, "HEAD", "/buildid/"+id+"/debuginfo", nil).status)
		})
	}
}

// TestDamagedMembers break the connection or fail, and are never shown, wherever
// the archive is read from.
func TestDamagedMembers(t *testing.T) {
	tree := t.TempDir()
	data := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	require.NoError(t, os.WriteFile(filepath.Join(tree, "a"), data, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "b.txt"), []byte(strings.Repeat("text ", 10_000)), 0o644))
	for _, tt := range []struct{ kind, compression string }{
		{"truncate", "none"}, {"truncate", "zstd"}, {"truncate", "gzip"}, {"reset", "zstd"}, {"error", "none"}, {"error", "gzip"},
	} {
		t.Run(tt.kind+" "+tt.compression, func(t *testing.T) {
			t.Parallel() // reads are repeated, after pauses
			b := storetest.NewFaultBucket(memblob.New(), nil)
			c, err := store.New(b, store.Settings{Compression: narinfo.Compression(tt.compression), WriteListing: true})
			require.NoError(t, err)
			info, err := store.AddPath(t.Context(), c, tree, store.AddPathOptions{Name: "x"})
			require.NoError(t, err)
			g := newGateway(t, c, serve.Options{Page: &serve.Page{}})
			b.SetPlan(func(op storetest.Operation) storetest.Fault {
				if layout.KindOf(op.Key) != layout.Archive {
					return storetest.Fault{}
				}
				return storetest.Fault{Kind: tt.kind, After: 1000}
			})
			assert.Equal(t, 503, g.get(t, "/-/path/"+info.Path.String()+"/b.txt").status)
		})
	}
}
