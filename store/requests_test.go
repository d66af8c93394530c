package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// s3Cache opens a cache in a bucket of a fake S3.
func s3Cache(t testing.TB, s3 *fakes3.Server, query string, opts ...store.Option) *store.Cache {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	return open(t, "s3://cache?endpoint="+s3.Endpoint()+query, opts...)
}

// independent are n objects without references.
func independent(t testing.TB, n, size int) []object {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(n), 3))
	objects := make([]object, n)
	for i := range objects {
		text := make([]byte, size)
		for j := range text {
			text[j] = byte(rng.Uint32())
		}
		objects[i] = newObject(t, uint64(i)<<20, text)
	}
	return objects
}

func TestCopyTakesFewRequests(t *testing.T) {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
	const n = 300
	objects := independent(t, n, 20_000)
	src, _ := fill(t, objects, store.Settings{Compression: "none"})
	dst := s3Cache(t, s3, "")
	report, err := store.Copy(t.Context(), dst, src, paths(objects), store.CopyOptions{})
	require.NoError(t, err)
	require.Equal(t, n, report.Copied)
	// An archive and a narinfo each; one listing; and for nix-cache-info a
	// look, an object, and the two requests by which the driver learns that
	// the server honours conditions.
	require.LessOrEqual(t, len(s3.Requests()), 2*n+5)

	before := len(s3.Requests())
	again := s3Cache(t, s3, "")
	report, err = store.Copy(t.Context(), again, src, paths(objects), store.CopyOptions{})
	require.NoError(t, err)
	require.Equal(t, n, report.Present)
	require.LessOrEqual(t, len(s3.Requests())-before, 2, "one listing tells all")
}

// TestCopyOfFewAsksForEach copies few paths to a cache of many: the listing
// would cost more than a question for each.
func TestCopyOfFewAsksForEach(t *testing.T) {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}, PageSize: 10})
	objects := independent(t, 400, 100)
	src, _ := fill(t, objects, store.Settings{Compression: "none"})
	dst := s3Cache(t, s3, "")
	_, err := store.Copy(t.Context(), dst, src, paths(objects), store.CopyOptions{})
	require.NoError(t, err)
	before := len(s3.Requests())
	_, err = store.Copy(t.Context(), dst, src, paths(objects[:5]), store.CopyOptions{})
	require.NoError(t, err)
	require.LessOrEqual(t, len(s3.Requests())-before, 5)
}

// BenchmarkCopyWithLatency copies 1,000 paths of 20 KB to an S3 that answers
// after 50 ms, 64 requests at a time, and reports how often it takes the time
// that the requests would take if nothing else were in the way.
func BenchmarkCopyWithLatency(b *testing.B) {
	const n, concurrency, latency = 1000, 64, 50 * time.Millisecond
	objects := independent(b, n, 20_000)
	for _, shape := range []string{"flat", "chain of 10"} {
		b.Run(shape, func(b *testing.B) {
			depth := 1
			if shape != "flat" {
				depth = 10
				for i := range objects {
					if i%100 != 0 && i%100 < depth {
						objects[i].info.References = []storepath.Path{objects[i-1].info.Path}
					}
				}
			}
			src, _ := fill(b, objects, store.Settings{Compression: "none"})
			for b.Loop() {
				s3 := storetest.NewS3(b, fakes3.Options{Buckets: []string{"cache"}, Latency: latency})
				dst := s3Cache(b, s3, fmt.Sprintf("&max-concurrency=%d", concurrency), store.WithSettings(func(s *store.Settings) {
					s.Budget = store.Budget{Transfers: concurrency, Requests: concurrency}
				}))
				start := time.Now()
				_, err := store.Copy(b.Context(), dst, src, paths(objects), store.CopyOptions{})
				took := time.Since(start)
				require.NoError(b, err)
				requests := len(s3.Requests())
				ideal := time.Duration(requests)*latency/concurrency + time.Duration(depth)*latency
				b.ReportMetric(float64(took)/float64(ideal), "×ideal")
				b.ReportMetric(float64(requests)/n, "requests/path")
			}
		})
	}
}
