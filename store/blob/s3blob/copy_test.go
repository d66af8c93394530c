package s3blob

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// What S3 copies in parts is bigger than a test can store, so this goes below
// CopyFrom.
func TestCopyInParts(t *testing.T) {
	server := storetest.NewS3(t, fakes3.Options{Buckets: []string{"bucket"}})
	b := New(s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.Endpoint()), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(fakes3.DefaultCredentials.AccessKey, fakes3.DefaultCredentials.SecretKey, ""),
	}), "bucket", "", Options{})
	data := bytes.Repeat([]byte("0123456789abcdef"), 700_000)
	attrs, err := b.Put(t.Context(), "from", bytes.NewReader(data), blob.PutOptions{ContentType: "text/plain"})
	require.NoError(t, err)
	attrs.ContentType = "text/plain"
	c := &serverCopy{b: b, key: "to", source: b.copySource("from"), attrs: attrs, partSize: 5 << 20}

	t.Run("whole", func(t *testing.T) {
		etag, err := c.parts(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 3, server.Count("UploadPartCopy"))
		got, attrs, err := blob.ReadAll(t.Context(), b, "to", int64(len(data)))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(data, got))
		assert.Equal(t, etag, attrs.ETag)
		assert.Equal(t, "text/plain", attrs.ContentType)
	})
	t.Run("a part fails", func(t *testing.T) {
		server.Inject(fakes3.Fault{Op: "UploadPartCopy", Skip: 1, Status: 403, Code: "AccessDenied"})
		c.key = "failed"
		_, err := c.parts(t.Context())
		require.ErrorContains(t, err, "part ")
		for up, err := range b.Uploads(t.Context(), "") {
			require.NoError(t, err)
			assert.Fail(t, "an upload was left open", "%+v", up)
		}
		_, err = b.Head(t.Context(), "failed")
		require.ErrorIs(t, err, blob.ErrNotFound)
	})
}
