package s3blob_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/storetest"
)

func openServer(t *testing.T, server lab.Server, parameters string, o s3blob.Options) *s3blob.Bucket {
	t.Helper()
	u, err := s3url.Parse(server.URL(t) + parameters)
	require.NoError(t, err)
	b, err := s3blob.Open(t.Context(), u, o)
	require.NoError(t, err)
	return b
}

// tooLong reports whether a key is too long after the prefix of the lab's URLs.
func tooLong(key string) bool { return 26+1+len(key) > 1024 }

func TestConformanceOfServers(t *testing.T) {
	for _, server := range lab.Servers(t) {
		// Each server is there twice. What plain HTTP and TLS have in common
		// need not be tested on both.
		mode, parameters, options := "one request, one stream", "", s3blob.Options{}
		if !strings.HasSuffix(server.Name, "-tls") {
			mode, parameters, options = "parts and window", inParts, s3blob.Options{Window: 3}
		}
		t.Run(server.Name+"/"+mode, func(t *testing.T) {
			storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
				return openServer(t, server, parameters, options)
			}, storetest.Features{NoKey: tooLong})
		})
	}
}

func TestUploadsOnServers(t *testing.T) {
	for _, server := range lab.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			b := openServer(t, server, inParts, s3blob.Options{})
			defer b.Close()
			put(t, b, "object", big, blob.PutOptions{ContentType: "application/x-nix-nar"})
			requireObject(t, b, "object", big)

			ctx, cancel := context.WithCancel(t.Context())
			content := &countingContent{Content: &cancelling{Content: bytes.NewReader(big), cancel: cancel}}
			_, err := b.Put(ctx, "cancelled", content, blob.PutOptions{})
			require.ErrorIs(t, err, context.Canceled)
			for up, err := range b.Uploads(t.Context(), "cancelled") {
				require.NoError(t, err)
				assert.Fail(t, "an upload was left open", "%+v", up)
			}
			if strings.HasPrefix(server.Name, "minio") {
				return // does not list the uploads of a prefix
			}
			requireNoUploads(t, b)
		})
	}
}

// cancelling is content that cancels its upload in the second part.
type cancelling struct {
	blob.Content
	cancel context.CancelFunc
}

func (c *cancelling) ReadAt(p []byte, off int64) (int, error) {
	if off >= 5<<20 {
		c.cancel()
	}
	return c.Content.ReadAt(p, off)
}
