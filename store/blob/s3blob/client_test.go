package s3blob_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/storetest/fakes3"
)

func TestNewTakesAClientOfTheCallers(t *testing.T) {
	server := newFake(t, fakes3.Options{TLS: true, NoChunked: true, NoChecksums: true, ProxyAcceptEncoding: "gzip(gfe)"})
	http := server.Client()
	t.Cleanup(http.CloseIdleConnections)
	client := s3.NewFromConfig(aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(server.Endpoint()),
		HTTPClient:   http,
		Credentials:  credentials.NewStaticCredentialsProvider(fakes3.DefaultCredentials.AccessKey, fakes3.DefaultCredentials.SecretKey, ""),
	}, func(o *s3.Options) { o.UsePathStyle = true })

	b := s3blob.New(client, "bucket", "/cache/", s3blob.Options{MultipartThreshold: 1})
	put(t, b, "object", big, blob.PutOptions{})
	requireObject(t, b, "object", big)
	require.NoError(t, b.Delete(t.Context(), "object", "another"))
	require.NoError(t, b.Close())
	out, err := b.Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("bucket")})
	require.NoError(t, err)
	assert.Empty(t, out.Contents)
}

func TestConnectionsAreKept(t *testing.T) {
	const workers = 100
	server := newFake(t, fakes3.Options{})
	b := open(t, server, "?", s3blob.Options{})
	var group errgroup.Group
	for range workers {
		group.Go(func() error {
			for range 5 {
				if _, err := b.Get(t.Context(), "missing", blob.GetOptions{}); err == nil {
					return assert.AnError
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	// A connection that is dialled may come too late and be left over.
	assert.LessOrEqual(t, server.Connections(), 2*workers)
}

func TestSlowDownSlowsTheWholeClient(t *testing.T) {
	// The server takes a quarter of what the client would like to do.
	server := newFake(t, fakes3.Options{MaxInFlight: 16, Latency: 2 * time.Millisecond})
	b := open(t, server, "?retry-attempts=20&retry-delay-rate-limited=20", s3blob.Options{})
	var group errgroup.Group
	for range 64 {
		group.Go(func() error {
			for range 20 {
				if _, err := b.Put(t.Context(), "object", bytes.NewReader(nil), blob.PutOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	refused := 0
	for _, r := range server.Requests() {
		if r.Status == http.StatusServiceUnavailable {
			refused++
		}
	}
	assert.Less(t, refused, server.Count()/4, "of %d requests", server.Count())
}

// tell is a log that tells of retries.
type tell chan<- struct{}

func (t tell) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "retrying") {
		t <- struct{}{}
	}
	return len(p), nil
}

func TestRetryAfterHoldsAllRequestsBack(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	told := make(chan struct{}, 10)
	b := open(t, server, "?", s3blob.Options{
		Retry:  blob.Retry{MaxDelay: 300 * time.Millisecond, Delay: 1, RateLimitedDelay: 1},
		Logger: slog.New(slog.NewTextHandler(tell(told), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	put(t, b, "object", nil, blob.PutOptions{})
	server.ResetLog()
	server.Inject(fakes3.Fault{RetryAfter: time.Second})
	var wg sync.WaitGroup
	wg.Go(func() { b.Head(t.Context(), "object") })
	<-told // the answer was read
	_, err := b.Head(t.Context(), "object")
	require.NoError(t, err)
	wg.Wait()
	log := server.Requests()
	for _, r := range log[1:] {
		assert.GreaterOrEqual(t, r.Time.Sub(log[0].Time), 290*time.Millisecond)
	}
}

func TestRetries(t *testing.T) {
	for _, test := range []struct {
		name       string
		parameters string
		fault      fakes3.Fault
		requests   int
	}{
		{"five times", "", fakes3.Fault{Status: 500, Code: "InternalError"}, 5},
		{"as often as asked", "&retry-attempts=2", fakes3.Fault{Status: 500, Code: "InternalError"}, 2},
		{"never what will not change", "", fakes3.Fault{Status: 400, Code: "Teapot"}, 1},
		{"what the URL names", "&retryable-exception-names=Teapot,Other", fakes3.Fault{Status: 400, Code: "Teapot"}, 5},
		{"too many requests", "", fakes3.Fault{Status: 429, Code: "TooManyRequests"}, 5},
		{"a conflict", "", fakes3.Fault{Status: 409, Code: "ConditionalRequestConflict"}, 5},
		{"a timeout", "", fakes3.Fault{Status: 400, Code: "RequestTimeout"}, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newFake(t, fakes3.Options{})
			b := open(t, server, "?retry-delay=1&retry-delay-rate-limited=1"+test.parameters, s3blob.Options{RetryCodes: []string{"Codes of the URL go first"}})
			test.fault.Kind, test.fault.Times = "", -1
			server.Inject(test.fault)
			_, err := b.Get(t.Context(), "key", blob.GetOptions{})
			require.ErrorContains(t, err, test.fault.Code)
			assert.Equal(t, test.requests, server.Count())
		})
	}
}

func TestAttemptsFromTheEnvironment(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "2")
	server := newFake(t, fakes3.Options{})
	server.Inject(fakes3.Fault{Times: -1})
	u, err := s3url.Parse("s3://bucket?retry-delay-rate-limited=1&endpoint=" + server.Endpoint())
	require.NoError(t, err)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	b, err := s3blob.Open(t.Context(), u, s3blob.Options{})
	require.NoError(t, err)
	defer b.Close()
	_, err = b.Get(t.Context(), "key", blob.GetOptions{})
	require.ErrorIs(t, err, blob.ErrThrottled)
	assert.Equal(t, 2, server.Count())
}

func TestRetriedBodiesAreWhole(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	b := open(t, server, "?", s3blob.Options{})
	server.Inject(
		fakes3.Fault{Op: "PutObject"},
		fakes3.Fault{Op: "PutObject", Kind: "reset-upload", After: 5000},
		fakes3.Fault{Op: "PutObject", Kind: "lose-response"})
	put(t, b, "object", big, blob.PutOptions{})
	requireObject(t, b, "object", big)
	for _, r := range server.Requests() {
		if r.Op == "PutObject" {
			assert.EqualValues(t, len(big), r.Length)
		}
	}
}

func TestAuthorityFromTheEnvironment(t *testing.T) {
	server := newFake(t, fakes3.Options{TLS: true})
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(bundle, server.CertPEM(), 0o600))
	t.Setenv("AWS_CA_BUNDLE", bundle)
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	u, err := s3url.Parse("s3://bucket?endpoint=" + server.Endpoint())
	require.NoError(t, err)
	b, err := s3blob.Open(t.Context(), u, s3blob.Options{})
	require.NoError(t, err)
	defer b.Close()
	put(t, b, "object", nil, blob.PutOptions{})
}

func TestOpenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		url     string
		options s3blob.Options
		err     string
	}{
		"a missing certificate":          {"s3://bucket?tls-certificate=/nonexistent.pem", s3blob.Options{}, "tls-certificate=/nonexistent.pem"},
		"a certificate beside transport": {"s3://bucket?tls-certificate=/cert.pem", s3blob.Options{Transport: http.DefaultTransport}, "has no effect on a transport of the caller's"},
		"a missing profile":              {"s3://bucket?profile=nobody", s3blob.Options{}, "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			withoutAWSFiles(t)
			u, err := s3url.Parse(test.url)
			require.NoError(t, err)
			_, err = s3blob.Open(t.Context(), u, test.options)
			require.ErrorContains(t, err, test.err)
		})
	}
}

func TestLoggerHearsWhatHappens(t *testing.T) {
	var log bytes.Buffer
	server := newFake(t, fakes3.Options{Conditions: fakes3.RefuseConditions})
	b := open(t, server, "?", s3blob.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	put(t, b, "object", nil, blob.PutOptions{IfNoneMatch: true})
	assert.Contains(t, log.String(), "no conditional writes")
	assert.NotContains(t, strings.ToLower(log.String()), "secret")
}
