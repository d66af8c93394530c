package gc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/gc"
)

// TestScale makes dry runs over a cache of very many paths, by default few:
// NIXS3_GC_PATHS=1000000 is what the comment of the package speaks of. The cache
// is computed as it is asked for, so that the memory is that of the collector.
func TestScale(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("NIXS3_GC_PATHS"))
	if err != nil {
		n = 10_000
	}
	b := &computed{Bucket: memblob.New(), paths: n}
	cache := cacheIn(t, b)
	require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "last", Paths: []storepath.Path{b.path(n - 1)}}))
	// As the command does it. By default the garbage of Go takes as much again.
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	var cold *gc.Report
	for _, run := range []struct {
		name    string
		narinfo int
	}{{"cold", n}, {"warm", 0}} {
		b.requests.Store(0)
		debug.FreeOSMemory()
		peak := watchMemory(t)
		begun := time.Now()
		report, err := gc.Collect(t.Context(), cache, gc.Options{DryRun: true, Recent: none})
		require.NoError(t, err)
		took := time.Since(begun)
		// A page of a thousand keys each for the narinfos and the archives, and
		// each narinfo that is not known.
		least := int64((n+999)/1000 + 1 + run.narinfo)
		t.Logf("%s: %d paths in %v, %d requests, at least %d, %d MiB", run.name, n, took.Round(time.Millisecond), b.requests.Load(), least, peak()>>20)
		assert.Equal(t, n, report.Kept.Paths+report.Gone.Paths)
		assert.Positive(t, report.Gone.Paths)
		assert.Less(t, peak(), uint64(300<<20*max(1, n/1_000_000)))
		assert.LessOrEqual(t, float64(b.requests.Load()), 1.1*float64(least)+30)
		if cold == nil {
			cold = report
		}
		assert.Equal(t, cold.Gone, report.Gone)
	}
}

// watchMemory returns a function that tells the most memory that the process
// had from the system for its heap, and had not given back.
func watchMemory(t *testing.T) func() uint64 {
	var most atomic.Uint64
	look := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if now := m.HeapSys - m.HeapReleased + m.StackSys; now > most.Load() {
			most.Store(now)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go func() {
		for ctx.Err() == nil {
			look()
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return func() uint64 { look(); return most.Load() }
}

// computed is a bucket with the narinfos of paths that rise with their numbers,
// each of which refers to four before it. All share an archive.
type computed struct {
	*memblob.Bucket
	paths    int
	requests atomic.Int64
}

const sharedArchive = "nar/0000000000000000000000000000000000000000000000000000.nar"

func (c *computed) hash(i int) string {
	var h [20]byte
	// The last bytes are the first characters.
	binary.LittleEndian.PutUint64(h[12:], uint64(i)*(1<<63/uint64(c.paths)*2))
	binary.LittleEndian.PutUint64(h[:], uint64(i)*0x9E3779B97F4A7C15)
	return nixhash.EncodeNix32(h[:])
}

func (c *computed) path(i int) storepath.Path {
	p, err := storepath.ParseBase(c.hash(i) + "-package-" + strconv.Itoa(i) + "-1.0")
	if err != nil {
		panic(err)
	}
	return p
}

// number returns the path with a key.
func (c *computed) number(key string) (int, bool) {
	base, ok := strings.CutSuffix(key, ".narinfo")
	digest, err := nixhash.DecodeNix32(base)
	if !ok || err != nil || len(digest) != 20 {
		return 0, false
	}
	step := 1 << 63 / uint64(c.paths) * 2
	i := int(binary.LittleEndian.Uint64(digest[12:]) / step)
	return i, i < c.paths && c.hash(i) == base
}

func (c *computed) text(i int) []byte {
	var references []string
	for _, back := range []int{1, 7, 50, 900} {
		if j := i - back*2; j >= 0 {
			references = append(references, c.path(j).String())
		}
	}
	return fmt.Appendf(nil, "StorePath: /nix/store/%s\nURL: %s\nCompression: none\nNarHash: sha256:%s\nNarSize: 120\nReferences: %s\n",
		c.path(i), sharedArchive, strings.Repeat("0", 52), strings.Join(references, " "))
}

func (c *computed) attrs(i int, size int) blob.Attrs {
	return blob.Attrs{Key: c.hash(i) + ".narinfo", Size: int64(size), ETag: strconv.Itoa(i), ModTime: time.Unix(1e9, 0)}
}

func (c *computed) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	c.requests.Add(1)
	i, ok := c.number(key)
	if !ok {
		return c.Bucket.Get(ctx, key, opts)
	}
	text := c.text(i)
	return &blob.Object{Attrs: c.attrs(i, 400), Length: int64(len(text)), Body: io.NopCloser(bytes.NewReader(text))}, nil
}

func (c *computed) Head(ctx context.Context, key string) (blob.Attrs, error) {
	c.requests.Add(1)
	if i, ok := c.number(key); ok {
		return c.attrs(i, 400), nil
	}
	return c.Bucket.Head(ctx, key)
}

func (c *computed) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	c.requests.Add(1)
	return c.Bucket.Put(ctx, key, content, opts)
}

// List counts a request for each thousand keys.
func (c *computed) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		c.requests.Add(1)
		switch {
		case opts.Prefix == "nar/":
			yield(blob.Attrs{Key: sharedArchive, Size: 120, ETag: "x", ModTime: time.Unix(1e9, 0)}, nil)
			return
		case len(opts.Prefix) > 1:
			for attrs, err := range c.Bucket.List(ctx, opts) {
				if !yield(attrs, err) {
					return
				}
			}
			return
		}
		n := 0
		first := 0
		if from := max(opts.Prefix, opts.StartAfter); from != "" {
			first = c.from(from)
		}
		for i := first; i < c.paths; i++ {
			attrs := c.attrs(i, 400)
			if attrs.Key <= opts.StartAfter {
				continue
			}
			if !strings.HasPrefix(attrs.Key, opts.Prefix) {
				return
			}
			if n++; n > 1 && n%1000 == 1 {
				c.requests.Add(1)
			}
			if !yield(attrs, nil) {
				return
			}
		}
	}
}

// from returns the first path whose key is not below a text.
func (c *computed) from(text string) int {
	low, high := 0, c.paths
	for low < high {
		if mid := (low + high) / 2; c.hash(mid)+".narinfo" < text {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
