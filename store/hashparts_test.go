package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// manyPaths starts an S3 with the buckets cache and copy, both of which have the
// narinfos of n paths, and returns the sorted hash parts.
func manyPaths(t testing.TB, n int) (*fakes3.Server, []string) {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache", "copy"}})
	hashParts := make([]string, n)
	for i := range hashParts {
		hashParts[i] = madeUpPath(uint64(i)<<40, "p").HashPart()
	}
	slices.Sort(hashParts)
	body := func(key string) []byte {
		hashPart, _ := layout.ParseNarInfoKey(key)
		zeros := strings.Repeat("0", 52)
		return fmt.Appendf(nil, "StorePath: /nix/store/%s-p\nURL: nar/%s.nar\nCompression: none\nFileHash: sha256:%s\nFileSize: 112\nNarHash: sha256:%s\nNarSize: 112\nReferences: \n", hashPart, zeros, zeros, zeros)
	}
	size := int64(len(body(layout.NarInfoKey(hashParts[0]))))
	var objects iter.Seq2[string, int64] = func(yield func(string, int64) bool) {
		for _, hashPart := range hashParts {
			if !yield(layout.NarInfoKey(hashPart), size) {
				return
			}
		}
	}
	for _, bucket := range []string{"cache", "copy"} {
		require.NoError(t, s3.PutGenerated(bucket, objects, body))
		require.NoError(t, s3.PutObject(bucket, layout.CacheInfoKey, []byte("StoreDir: /nix/store\n"), nil))
	}
	return s3, hashParts
}

func s3Copy(t testing.TB, s3 *fakes3.Server) *store.Cache {
	return open(t, "s3://copy?endpoint="+s3.Endpoint())
}

func TestHashPartsInParallel(t *testing.T) {
	const n = 15_000
	s3, want := manyPaths(t, n)
	c := s3Cache(t, s3, "")
	s3.ResetLog()
	var got []string
	for hashPart, err := range c.HashParts(t.Context()) {
		require.NoError(t, err)
		got = append(got, hashPart)
	}
	require.Equal(t, want, got)
	require.LessOrEqual(t, s3.Count("ListObjectsV2"), n/1000*5/4)

	t.Run("a consumer that stops", func(t *testing.T) {
		for _, stop := range []int{1, 4000, 4001, 9000} {
			seen := 0
			for _, err := range c.HashParts(t.Context()) {
				require.NoError(t, err)
				if seen++; seen == stop {
					break
				}
			}
			stacks := make([]byte, 1<<20)
			require.NotContains(t, string(stacks[:runtime.Stack(stacks, true)]), "listRange")
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		failure, seen := errors.New("failure"), 0
		var last error
		for _, err := range c.HashParts(ctx) {
			if last = err; err == nil {
				if seen++; seen == 5000 {
					cancel(failure)
				}
			}
		}
		require.ErrorIs(t, last, failure)
		require.Less(t, seen, n)
	})
}

// Keys that are not spread as hash parts are listed whole all the same.
func TestHashPartsThatCluster(t *testing.T) {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}, PageSize: 10})
	var want []string
	for i := range 100 {
		for _, first := range []string{"00000", "00001", "h", "zzzzz"} {
			tail := strconv.Itoa(1000 + i)
			want = append(want, first+strings.Repeat("0", 32-len(first)-len(tail))+tail)
		}
	}
	slices.Sort(want)
	for _, hashPart := range want {
		require.NoError(t, s3.PutObject("cache", layout.NarInfoKey(hashPart), []byte("x"), nil))
	}
	c := s3Cache(t, s3, "")
	s3.ResetLog()
	var got []string
	for hashPart, err := range c.HashParts(t.Context()) {
		require.NoError(t, err)
		got = append(got, hashPart)
	}
	require.Equal(t, want, got)
	require.Less(t, s3.Count("ListObjectsV2"), 200)
}

// Copying all of a cache compares the listings, and reads only what is missing.
func TestCopyAllComparesListings(t *testing.T) {
	const n = 6000
	s3, hashParts := manyPaths(t, n)
	src, dst := s3Cache(t, s3, ""), s3Copy(t, s3)
	run := func() store.CopyReport {
		s3.ResetLog()
		report, err := store.Copy(t.Context(), dst, src, nil, store.CopyOptions{All: true})
		require.NoError(t, err)
		report.Elapsed, report.Todo, report.Requests = 0, nil, 0
		return report
	}
	require.Equal(t, store.CopyReport{Paths: n, Present: n}, run())
	require.LessOrEqual(t, work(s3), 2*n/1000*5/4+4, "two listings, and those of the realisations")

	there, err := storepath.ParseBase(hashParts[0] + "-p")
	require.NoError(t, err)
	lib := newObject(t, 1, []byte("lib"), there)
	user := newObject(t, 2, []byte("user"), lib.info.Path)
	add(t, src, lib, store.AddOptions{})
	add(t, src, user, store.AddOptions{})
	report := run()
	require.Equal(t, 2, report.Copied)
	require.Equal(t, n+2, report.Paths)
	require.Equal(t, n, report.Present)
	read := 0
	for _, r := range s3.Requests() {
		if r.Bucket == "cache" && strings.HasSuffix(r.Key, ".narinfo") {
			read++
		}
	}
	require.Equal(t, 2, read)
	for _, o := range []object{lib, user} {
		requireReads(t, dst, o.info.Path)
	}

	// A reference that neither has is missing.
	over := newObject(t, 3, []byte("over"), madeUpPath(99, "nowhere"))
	add(t, src, over, store.AddOptions{ReferencesPresent: true})
	_, err = store.Copy(t.Context(), dst, src, nil, store.CopyOptions{All: true})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorContains(t, err, "nowhere in ")
}

// BenchmarkCopyAllOfNothing copies all of a cache in S3 to another that has
// everything, and reports time, requests, and the growth of the heap a path, in
// which garbage and the fake S3 have their part. NIXS3_SCALE adds a number of
// paths to 10^3 to 10^5.
func BenchmarkCopyAllOfNothing(b *testing.B) {
	sizes := []int{1000, 10_000, 100_000}
	if n, err := strconv.Atoi(os.Getenv("NIXS3_SCALE")); err == nil {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s3, _ := manyPaths(b, n)
			src, dst := s3Cache(b, s3, ""), s3Copy(b, s3)
			defer debug.SetGCPercent(debug.SetGCPercent(10))
			var grown uint64
			for b.Loop() {
				s3.ResetLog()
				peak := watchHeap()
				report, err := store.Copy(b.Context(), dst, src, nil, store.CopyOptions{All: true})
				grown = max(grown, peak())
				require.NoError(b, err)
				require.Equal(b, n, report.Present)
			}
			b.ReportMetric(float64(work(s3)), "requests")
			b.ReportMetric(float64(grown)/float64(n), "B-heap/path")
		})
	}
}

// watchHeap watches the live heap and its garbage. The function that it returns
// ends that, and returns by how much they grew at most.
func watchHeap() (peak func() uint64) {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before := stats.HeapAlloc
	var highest atomic.Uint64
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			runtime.ReadMemStats(&stats)
			highest.Store(max(highest.Load(), stats.HeapAlloc))
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(done)
		<-stopped
		return highest.Load() - min(before, highest.Load())
	}
}
