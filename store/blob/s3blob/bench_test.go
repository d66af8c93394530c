package s3blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/storetest/fakes3"
)

// sink is an S3 server that takes everything, keeps nothing and has one object.
type sink struct{ object []byte }

func (s sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
	switch {
	case r.Method == http.MethodPost && r.URL.Query().Has("uploads"):
		io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>`)
	case r.Method == http.MethodPost:
		io.WriteString(w, `<CompleteMultipartUploadResult><ETag>"e-1"</ETag></CompleteMultipartUploadResult>`)
	case r.Method == http.MethodPut:
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 256<<10))
	default:
		http.ServeContent(w, r, "", time.Unix(0, 0), bytes.NewReader(s.object))
	}
}

// openSink opens a bucket of a sink.
func openSink(b *testing.B, tls bool, parameters string, o s3blob.Options) *s3blob.Bucket {
	server := httptest.NewUnstartedServer(sink{noise(64 << 20)})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	b.Cleanup(server.Close)
	if tls {
		bundle := filepath.Join(b.TempDir(), "ca.pem")
		require.NoError(b, os.WriteFile(bundle, pemOf(server.Certificate()), 0o600))
		b.Setenv("AWS_CA_BUNDLE", bundle)
	}
	return open(b, newFake(b, fakes3.Options{}), "?endpoint="+server.URL+parameters, o)
}

// BenchmarkPut sends a file over plain HTTP. The size is S3BLOB_BENCH_MIB, 64
// where it is not set; 1024 gives the figure of 1 GiB.
func BenchmarkPut(b *testing.B) {
	mib := 64
	if n, err := strconv.Atoi(os.Getenv("S3BLOB_BENCH_MIB")); err == nil {
		mib = n
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "nar"))
	require.NoError(b, err)
	defer f.Close()
	sum, chunk := sha256.New(), noise(1<<20)
	for range mib {
		io.MultiWriter(f, sum).Write(chunk)
	}
	size, digest := int64(mib)<<20, [32]byte(sum.Sum(nil))
	for _, way := range []struct {
		name, parameters string
		digest           *[32]byte
	}{
		{"digest known", "&multipart-upload=false", &digest},
		{"digest unknown", "&multipart-upload=false", nil},
		{"parts", inParts, &digest},
	} {
		b.Run(way.name, func(b *testing.B) {
			bucket := openSink(b, false, way.parameters, s3blob.Options{})
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				_, err := bucket.Put(b.Context(), "object", io.NewSectionReader(f, 0, size), blob.PutOptions{SHA256: way.digest})
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, window := range []int{1, 4} {
		b.Run(fmt.Sprint("window ", window), func(b *testing.B) {
			bucket := openSink(b, false, "", s3blob.Options{Window: window})
			b.SetBytes(64 << 20)
			b.ReportAllocs()
			for b.Loop() {
				obj, err := bucket.Get(b.Context(), "object", blob.GetOptions{})
				require.NoError(b, err)
				_, err = io.Copy(io.Discard, obj.Body)
				require.NoError(b, err)
				obj.Body.Close()
			}
		})
	}
}

// BenchmarkHead asks for attributes over TLS, many at once.
func BenchmarkHead(b *testing.B) {
	for _, workers := range []int{64, 256} {
		b.Run(fmt.Sprint(workers, " at once"), func(b *testing.B) {
			bucket := openSink(b, true, "", s3blob.Options{})
			b.ReportAllocs()
			for b.Loop() {
				each(b, workers, 1000, func(ctx context.Context) error {
					_, err := bucket.Head(ctx, "object")
					return err
				})
			}
			b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "req/s")
		})
	}
}

// BenchmarkLatency reads 1,000 small objects, 64 at once, from a server 50 ms
// away. The ideal is 1,000 / 64 × 50 ms = 781 ms.
func BenchmarkLatency(b *testing.B) {
	server := newFake(b, fakes3.Options{Latency: 50 * time.Millisecond})
	bucket := open(b, server, "?", s3blob.Options{})
	put(b, bucket, "object", []byte(strings.Repeat("x", 1000)), blob.PutOptions{})
	for b.Loop() {
		each(b, 64, 1000, func(ctx context.Context) error {
			_, _, err := blob.ReadAll(ctx, bucket, "object", 1000)
			return err
		})
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/0.78125, "x-ideal")
}

// each calls do n times, at most workers of them at once.
func each(b *testing.B, workers, n int, do func(context.Context) error) {
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(workers)
	for range n {
		group.Go(func() error { return do(ctx) })
	}
	require.NoError(b, group.Wait())
}
