package fakes3_test

import (
	"fmt"
	"iter"
	"runtime"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

// generated are n objects in an order that is not that of their keys.
func generated(n int) iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for i := range n {
			key := fmt.Sprintf("%032d.narinfo", uint32(i)*2654435761)
			if !yield(key, int64(len(key))) {
				return
			}
		}
	}
}

func listAll(t testing.TB, c *s3.Client) (keys []string, pages int) {
	for p := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(bucket)}); p.HasMorePages(); pages++ {
		page, err := p.NextPage(t.Context())
		require.NoError(t, err)
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return keys, pages
}

// TestGenerated: objects whose bodies are not kept are read and listed like
// others, also while others come between them.
func TestGenerated(t *testing.T) {
	server, c := start(t, fakes3.Options{PageSize: 100})
	require.NoError(t, server.PutGenerated(bucket, generated(5000), func(key string) []byte { return []byte(key) }))
	keys, pages := listAll(t, c)
	assert.Equal(t, server.Keys(bucket), keys)
	assert.IsIncreasing(t, keys)
	assert.Equal(t, 50, pages)
	for _, key := range []string{keys[0], keys[2500], keys[4999]} {
		text, err := get(t.Context(), c, key)
		require.NoError(t, err)
		assert.Equal(t, key, text)
	}
	_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("a copy"), CopySource: aws.String(bucket + "/" + keys[7])})
	require.NoError(t, err)
	text, err := get(t.Context(), c, "a copy")
	require.NoError(t, err)
	assert.Equal(t, keys[7], text)
	require.NoError(t, server.DeleteObject(bucket, keys[1]))
	require.NoError(t, put(t.Context(), c, keys[0]+"!", "x"))
	left, _ := listAll(t, c)
	assert.Equal(t, []string{keys[0], keys[0] + "!", keys[2]}, left[:3])
}

// BenchmarkMany fills a server with many objects and lists them.
func BenchmarkMany(b *testing.B) {
	const n = 100_000
	server, err := fakes3.Start(fakes3.Options{Buckets: []string{bucket}, LogLimit: 100})
	require.NoError(b, err)
	defer server.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	require.NoError(b, server.PutGenerated(bucket, generated(n), func(key string) []byte { return []byte(key) }))
	runtime.GC()
	runtime.ReadMemStats(&after)
	c := client(server)
	for b.Loop() {
		keys, _ := listAll(b, c)
		require.Len(b, keys, n)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/object")
}
