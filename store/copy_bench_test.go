package store_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

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

// BenchmarkPassThrough copies archives between two caches in S3 without
// compressing them anew, and reports how often it takes the time of a plain GET
// and PUT of the same objects, as many at once, taken turn by turn.
func BenchmarkPassThrough(b *testing.B) {
	const workers = 8
	objects := independent(b, 100, 2<<20)
	s3 := storetest.NewS3(b, fakes3.Options{Buckets: []string{"from"}})
	b.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	b.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	for _, compression := range []string{"none", "zstd"} {
		src := open(b, "s3://from/"+compression+"?compression="+compression+"&endpoint="+s3.Endpoint())
		var infos []object
		for _, o := range objects {
			add(b, src, o, store.AddOptions{})
			infos = append(infos, o)
		}
		for verify, name := range map[store.Verification]string{store.VerifyContents: "contents", store.VerifyFiles: "files"} {
			b.Run(compression+", "+name+" verified", func(b *testing.B) {
				var ours, raw time.Duration
				for i := 0; b.Loop(); i++ {
					rawBucket, ourBucket := fmt.Sprintf("raw-%s-%s-%d", compression, name, i), fmt.Sprintf("ours-%s-%s-%d", compression, name, i)
					require.NoError(b, s3.AddBucket(rawBucket, ""))
					require.NoError(b, s3.AddBucket(ourBucket, ""))
					to := open(b, "s3://"+rawBucket+"?endpoint="+s3.Endpoint())
					raw += took(func() { copyRaw(b, to.Bucket(), src.Bucket(), workers) })
					dst := open(b, "s3://"+ourBucket+"?endpoint="+s3.Endpoint(), store.WithSettings(func(s *store.Settings) { s.Budget.Transfers = workers }))
					ours += took(func() {
						_, err := store.Copy(b.Context(), dst, src, paths(infos), store.CopyOptions{Verify: verify})
						require.NoError(b, err)
					})
				}
				b.ReportMetric(float64(ours)/float64(raw), "×raw")
			})
		}
	}
}

// copyRaw moves every object from one bucket to another, through memory.
func copyRaw(b *testing.B, dst, src blob.Bucket, workers int) {
	keys := make(chan string)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for key := range keys {
				data, attrs, err := blob.ReadAll(b.Context(), src, key, 1<<30)
				require.NoError(b, err)
				_, err = dst.Put(b.Context(), attrs.Key, bytes.NewReader(data), blob.PutOptions{})
				require.NoError(b, err)
			}
		})
	}
	for attrs, err := range src.List(b.Context(), blob.ListOptions{}) {
		require.NoError(b, err)
		keys <- attrs.Key
	}
	close(keys)
	wg.Wait()
}
