package s3blob_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// quick makes retries wait next to nothing.
var quick = blob.Retry{Delay: time.Millisecond, RateLimitedDelay: 5 * time.Millisecond, MaxDelay: 2 * time.Second}

// newFake starts a fake server with one bucket, named "bucket".
func newFake(t testing.TB, o fakes3.Options) *fakes3.Server {
	t.Helper()
	o.Buckets = []string{"bucket"}
	return storetest.NewS3(t, o)
}

// withoutAWSFiles hides the AWS configuration of the account that runs the test.
func withoutAWSFiles(t testing.TB) {
	t.Helper()
	absent := filepath.Join(t.TempDir(), "absent")
	t.Setenv("AWS_CONFIG_FILE", absent)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", absent)
}

// open opens s3://bucket<location> at the server, a location being
// "[/prefix]?[parameters]".
func open(t testing.TB, server *fakes3.Server, location string, o s3blob.Options) *s3blob.Bucket {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	withoutAWSFiles(t)
	if !strings.Contains(location, "endpoint=") {
		location += "&endpoint=" + server.Endpoint()
	}
	u, err := s3url.Parse("s3://bucket" + location)
	require.NoError(t, err)
	if o.Transport == nil && server.CertPool() != nil {
		transport := server.Client().Transport.(*http.Transport)
		t.Cleanup(transport.CloseIdleConnections)
		o.Transport = transport
	}
	if o.Retry.Attempts == 0 {
		o.Retry = quick
	}
	b, err := s3blob.Open(t.Context(), u, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// noise returns size bytes that differ from place to place.
func noise(size int) []byte {
	data := make([]byte, size)
	x := uint32(size) + 1
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	return data
}

func put(t testing.TB, b blob.Bucket, key string, data []byte, o blob.PutOptions) blob.Attrs {
	t.Helper()
	attrs, err := b.Put(t.Context(), key, bytes.NewReader(data), o)
	require.NoError(t, err)
	return attrs
}

func requireObject(t testing.TB, b blob.Bucket, key string, data []byte) {
	t.Helper()
	got, _, err := blob.ReadAll(t.Context(), b, key, int64(len(data)))
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got), "%q holds other bytes", key)
}

// requireNoUploads ends the test if a multipart upload was left open.
func requireNoUploads(t testing.TB, b blob.UploadCleaner) {
	t.Helper()
	for up, err := range b.Uploads(t.Context(), "") {
		require.NoError(t, err)
		require.Failf(t, "an upload was left open", "%+v", up)
	}
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
