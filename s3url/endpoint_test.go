package s3url_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
)

func TestObjectURL(t *testing.T) {
	tests := []struct{ name, url, key, want string }{
		// The cases of Nix's own tests.
		{"default region", "s3://my-bucket", "my-key.txt", "https://my-bucket.s3.us-east-1.amazonaws.com/my-key.txt"},
		{"region", "s3://prod-cache?region=eu-west-1", "nix/store/abc123.nar.xz", "https://prod-cache.s3.eu-west-1.amazonaws.com/nix/store/abc123.nar.xz"},
		{"endpoint without scheme", "s3://bucket?endpoint=custom.s3.com&scheme=http", "key", "http://custom.s3.com/bucket/key"},
		{"endpoint with scheme", "s3://bucket?endpoint=http://server:9000", "key", "http://server:9000/bucket/key"},
		{"endpoint's scheme counts", "s3://bucket?endpoint=https://minio.local&scheme=http", "key", "https://minio.local/bucket/key"},
		{"version", "s3://my-bucket?versionId=abc123xyz", "my-key.txt", "https://my-bucket.s3.us-east-1.amazonaws.com/my-key.txt?versionId=abc123xyz"},
		{"path style on AWS", "s3://my-bucket?region=us-west-2&addressing-style=path", "my-key.txt", "https://s3.us-west-2.amazonaws.com/my-bucket/my-key.txt"},
		{"virtual on an endpoint", "s3://bucket?endpoint=custom.s3.com&scheme=http&addressing-style=virtual", "key", "http://bucket.custom.s3.com/key"},
		{"virtual on an endpoint with port", "s3://bucket?endpoint=http://server:9000&addressing-style=virtual", "key", "http://bucket.server:9000/key"},
		{"dotted bucket", "s3://my.bucket.name", "key", "https://s3.us-east-1.amazonaws.com/my.bucket.name/key"},
		{"dotted bucket on an endpoint", "s3://my.bucket?endpoint=minio.local", "key", "https://minio.local/my.bucket/key"},

		{"prefix", "s3://my-bucket/some/prefix", "nix-cache-info", "https://my-bucket.s3.us-east-1.amazonaws.com/some/prefix/nix-cache-info"},
		{"localhost", "s3://bucket?endpoint=localhost:9000", "key", "https://localhost:9000/bucket/key"},
		{"IPv6 with port", "s3://bucket?endpoint=[::1]:9000&scheme=http", "key", "http://[::1]:9000/bucket/key"},
		{"IPv6 in a URL", "s3://bucket?endpoint=https://[2001:db8::1]", "key", "https://[2001:db8::1]/bucket/key"},
		{"endpoint with path", "s3://bucket?endpoint=https://host/s3/", "key", "https://host/s3/bucket/key"},
		{"endpoint with path, no scheme", "s3://bucket?endpoint=host:1/s3", "key", "https://host:1/s3/bucket/key"},
		{"plain HTTP on AWS", "s3://my-bucket?scheme=http", "key", "http://my-bucket.s3.us-east-1.amazonaws.com/key"},
		{"China", "s3://my-bucket?region=cn-north-1", "key", "https://my-bucket.s3.cn-north-1.amazonaws.com.cn/key"},
		{"GovCloud", "s3://my-bucket?region=us-gov-west-1", "key", "https://my-bucket.s3.us-gov-west-1.amazonaws.com/key"},
		{"dualstack", "s3://my-bucket?dualstack=true&region=eu-west-1", "key", "https://my-bucket.s3.dualstack.eu-west-1.amazonaws.com/key"},
		{"fips", "s3://my-bucket?fips=true&region=us-gov-east-1", "key", "https://my-bucket.s3-fips.us-gov-east-1.amazonaws.com/key"},
		{"fips and dualstack", "s3://my-bucket?fips=true&dualstack=true", "key", "https://my-bucket.s3-fips.dualstack.us-east-1.amazonaws.com/key"},
		{"accelerate", "s3://my-bucket?accelerate=true&region=eu-west-1", "key", "https://my-bucket.s3-accelerate.amazonaws.com/key"},
		{"accelerate and dualstack", "s3://my-bucket?accelerate=true&dualstack=true", "key", "https://my-bucket.s3-accelerate.dualstack.amazonaws.com/key"},
		{"key with odd characters", "s3://my-bucket/ü", "a+b !:=?%#", "https://my-bucket.s3.us-east-1.amazonaws.com/%C3%BC/a%2Bb%20%21%3A%3D%3F%25%23"},
		{"version with odd characters", "s3://my-bucket?versionId=a%26b", "key", "https://my-bucket.s3.us-east-1.amazonaws.com/key?versionId=a%26b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := s3url.Parse(tt.url)
			require.NoError(t, err)
			got, err := u.ObjectURL(tt.key)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got.String())
		})
	}
}

func TestObjectURLErrors(t *testing.T) {
	tests := []struct {
		name, key, want string
	}{
		{"empty", "", "expected 1 to 1024 bytes"},
		{"too long", strings.Repeat("a", 1025), "expected 1 to 1024 bytes"},
		{"climbing", "nar/../x", `has the segment ".."`},
		{"NUL", "a\x00", "contains NUL"},
		{"not UTF-8", "\xff", "not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := (&s3url.URL{Bucket: "bucket"}).ObjectURL(tt.key)
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := (&s3url.URL{Bucket: "bucket", Endpoint: "ftp://x"}).ObjectURL("key")
	require.ErrorContains(t, err, "expected http or https")
}

func TestEndpointURL(t *testing.T) {
	e, err := (&s3url.URL{Bucket: "bucket"}).EndpointURL()
	require.NoError(t, err)
	assert.Nil(t, e, "AWS has none")
	e, err = (&s3url.URL{Endpoint: "localhost:9000/x/", Scheme: "http"}).EndpointURL()
	require.NoError(t, err)
	assert.Equal(t, "http://localhost:9000/x", e.String())
}

func TestIsAWS(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"":                                   true,
		"https://s3.eu-west-1.amazonaws.com": true,
		"S3.EU-WEST-1.AMAZONAWS.COM.":        true,
		"s3.cn-north-1.amazonaws.com.cn":     true,
		"https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com": true,
		"localhost:9000":                    false,
		"https://storage.googleapis.com":    false,
		"https://amazonaws.com.example.org": false,
		"https://notamazonaws.com":          false,
		"ftp://s3.eu-west-1.amazonaws.com":  false,
	} {
		t.Run(endpoint, func(t *testing.T) {
			assert.Equal(t, want, (&s3url.URL{Bucket: "bucket", Endpoint: endpoint}).IsAWS())
		})
	}
}

func TestPartitionOf(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1": "aws", "eu-central-2": "aws", "": "aws", "auto": "aws",
		"cn-northwest-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "us-iso-east-1": "aws-iso",
		"us-isob-east-1": "aws-iso-b", "eu-isoe-west-1": "aws-iso-e", "us-isof-south-1": "aws-iso-f", "eusc-de-east-1": "aws-eusc",
	} {
		assert.Equal(t, want, s3url.PartitionOf(region), region)
	}
}
