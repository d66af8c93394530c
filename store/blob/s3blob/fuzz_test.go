package s3blob

import (
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func FuzzDecodeKey(f *testing.F) {
	for _, key := range []string{"a+b", "a b", "a%b", "é/ü", "\x01"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		encoded := url.QueryEscape(key)
		got, err := decodeKey(&encoded, types.EncodingTypeUrl)
		require.NoError(t, err)
		require.Equal(t, key, got)
		got, err = decodeKey(&key, "")
		require.NoError(t, err)
		require.Equal(t, key, got)
		_, _ = decodeKey(&key, types.EncodingTypeUrl) // malformed, but no panic
	})
}

func TestCopySource(t *testing.T) {
	b := &Bucket{name: "bucket", prefix: "a b/"}
	assert.Equal(t, "bucket/a%20b/c%2Bd/%25%3F%C3%A9", b.copySource("c+d/%?é"))
	b.opts.VersionID = "v+1"
	assert.Equal(t, "bucket/a%20b/key?versionId=v%2B1", b.copySource("key"))
}

func TestPartSize(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct{ configured, size, want int64 }{
		{5 * mib, 1 << 30, 5 * mib},
		{5 * mib, 10_000 * 5 * mib, 5 * mib},
		{5 * mib, 10_000*5*mib + 1, 6 * mib},
		{8 * mib, 5 << 40, 525 * mib},
		{5 * mib, 10_000 * (5 << 30), 5 << 30},
	} {
		b := &Bucket{opts: Options{PartSize: test.configured}}
		got := b.partSize(test.size)
		assert.Equal(t, test.want, got)
		assert.LessOrEqual(t, (test.size+got-1)/got, int64(maxParts))
	}
}

func TestDialectOf(t *testing.T) {
	for endpoint, want := range map[string]Dialect{
		"":                                      DialectAWS,
		"https://s3.eu-central-1.amazonaws.com": DialectAWS,
		"https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com": DialectAWS,
		"https://s3.cn-north-1.amazonaws.com.cn":                DialectAWS,
		"https://amazonaws.com.example.org":                     DialectCompatible,
		"https://storage.googleapis.com":                        DialectCompatible,
		"http://localhost:9000":                                 DialectCompatible,
	} {
		assert.Equal(t, want, dialectOf(endpoint), endpoint)
	}
}
