package s3blob_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
)

// TestObjectURLIsRequested holds what package s3url says about addresses
// against what the SDK makes of the same URL.
func TestObjectURLIsRequested(t *testing.T) {
	for _, rawURL := range []string{
		"s3://my-bucket",
		"s3://my-bucket?region=eu-west-1",
		"s3://my-bucket/prefix/ü+%2520?region=eu-west-1",
		"s3://my-bucket?region=eu-west-1&addressing-style=path",
		"s3://my.bucket?region=eu-west-1",
		"s3://my-bucket?region=cn-north-1",
		"s3://my-bucket?region=us-gov-west-1",
		"s3://my-bucket?region=us-iso-east-1",
		"s3://my-bucket?region=us-isob-east-1",
		"s3://my-bucket?region=eusc-de-east-1",
		"s3://my-bucket?region=us-east-2&dualstack=true",
		"s3://my-bucket?region=us-east-2&fips=true",
		"s3://my-bucket?region=us-east-2&fips=true&dualstack=true",
		"s3://my-bucket?region=us-east-2&fips=true&addressing-style=path",
		"s3://my.bucket?region=us-east-2&dualstack=true",
		"s3://my-bucket?region=us-east-2&accelerate=true",
		"s3://my-bucket?region=us-east-2&accelerate=true&dualstack=true",
		"s3://my-bucket?scheme=http",
		"s3://my-bucket?endpoint=localhost:9000",
		"s3://my-bucket?endpoint=localhost:9000&scheme=http",
		"s3://my-bucket?endpoint=https://minio.example.org/s3/",
		"s3://my-bucket?endpoint=http://[::1]:9000",
		"s3://my-bucket?endpoint=https://minio.example.org&addressing-style=virtual",
		"s3://My_Bucket?endpoint=https://minio.example.org",
		"s3://my.bucket?endpoint=https://minio.example.org",
		"s3://my-bucket?endpoint=https://s3.eu-west-1.amazonaws.com&region=eu-west-1",
	} {
		t.Run(rawURL, func(t *testing.T) {
			newAWSHome(t)
			u, err := s3url.Parse(rawURL)
			require.NoError(t, err)
			want, err := u.ObjectURL("key")
			require.NoError(t, err)
			u.Anonymous = true
			req, err := head(t, u.String())
			require.NoError(t, err)
			got := *req.URL
			got.RawQuery = "" // x-id
			assert.Equal(t, want.String(), got.String())
		})
	}
}
