package s3url_test

import (
	"maps"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
)

// TestParametersAreComplete compares the table with the lists of the Nix manual
// and of nixs3's extensions.
func TestParametersAreComplete(t *testing.T) {
	extensions := []string{
		"accelerate", "anonymous", "cache-control", "dualstack", "fips", "first-byte-timeout", "max-concurrency", "presence", "requester-pays", "sse", "sse-kms-key-id", "stall-timeout", "tags", "transfers",
	}
	known := []string{
		"addressing-style", "compression", "compression-level", "endpoint", "index-debug-info", "local-nar-cache", "log-compression",
		"ls-compression", "multipart-chunk-size", "multipart-threshold", "multipart-upload", "narinfo-compression", "parallel-compression",
		"path-info-cache-size", "priority", "profile", "region", "retry-attempts", "retry-delay", "retry-delay-rate-limited",
		"retry-max-delay", "retryable-exception-names", "scheme", "secret-key", "secret-keys", "storage-class", "store", "system-features",
		"tls-certificate", "tls-private-key", "trusted", "versionId", "want-mass-query", "write-nar-listing",
	}
	got := map[bool][]string{}
	for _, p := range (&s3url.URL{Bucket: "bucket"}).Parameters() {
		got[p.Extension] = append(got[p.Extension], p.Name)
		assert.Equal(t, "default", p.Origin, p.Name)
		assert.NotEmpty(t, p.Value, "%s says what holds by default", p.Name)
	}
	assert.ElementsMatch(t, known, got[false])
	assert.ElementsMatch(t, extensions, got[true])
}

func TestParameters(t *testing.T) {
	u, err := s3url.Parse("s3://bucket?buffer-size=8M&scheme=http&trusted=1&fips=no")
	require.NoError(t, err)
	given := slices.DeleteFunc(u.Parameters(), func(p s3url.Parameter) bool { return p.Origin == "default" })
	assert.Equal(t, []s3url.Parameter{
		{Name: "scheme", Value: "http", Origin: "url", Note: "scheme is deprecated: write it into the endpoint, as in endpoint=http://host:port"},
		{Name: "multipart-chunk-size", Value: "8388608", Origin: "alias", Note: "buffer-size is the old name of multipart-chunk-size"},
		{Name: "trusted", Value: "1", Origin: "url"},
	}, given)
}

// TestDefaultsAgree compares the defaults in the texts of Parameters with the
// constants and with the values in the comments of Transport.
func TestDefaultsAgree(t *testing.T) {
	values := map[string]string{}
	for _, p := range (&s3url.URL{}).Parameters() {
		values[p.Name] = p.Value
	}
	u := s3url.URL{
		Bucket: "bucket", MultipartChunkSize: s3url.DefaultMultipartChunkSize, MultipartThreshold: s3url.DefaultMultipartThreshold,
		Transport: s3url.Transport{
			RetryAttempts: 5, RetryDelay: new(100 * time.Millisecond), RetryMaxDelay: new(time.Minute), RetryDelayRateLimited: new(5 * time.Second),
		},
	}
	for _, p := range u.Parameters() {
		if p.Origin == "url" {
			assert.Equal(t, values[p.Name], p.Value, p.Name)
			delete(values, p.Name)
		}
	}
	assert.NotContains(t, slices.Collect(maps.Keys(values)), "retry-delay", "all six were looked at")
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name, url string
		want      []string
	}{
		{"nothing to say", "s3://bucket?region=eu-west-1&multipart-chunk-size=100M", nil},
		{"alias", "s3://bucket?buffer-size=8M", []string{"buffer-size is the old name of multipart-chunk-size"}},
		{"deprecated", "s3://bucket?scheme=http&endpoint=localhost:9000", []string{"scheme is deprecated: write it into the endpoint, as in endpoint=http://host:port"}},
		{"without effect", "s3://bucket?scheme=http&endpoint=https://localhost", []string{
			"scheme is deprecated: write it into the endpoint, as in endpoint=http://host:port",
			"scheme has no effect: the endpoint names its own",
		}},
		{"repeated", "s3://bucket?region=a&region=b", []string{"region is given more than once: the first value counts"}},
		{"alias and name", "s3://bucket?multipart-chunk-size=8M&buffer-size=9M", []string{"multipart-chunk-size is given more than once: the first value counts"}},
		{"small threshold", "s3://bucket?multipart-threshold=1M", []string{
			"multipart-threshold (1048576) is less than multipart-chunk-size (5242880): some uploads will be of a single part",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := s3url.Parse(tt.url)
			require.NoError(t, err)
			assert.Equal(t, tt.want, u.Warnings())
		})
	}
}

func TestValidateSettings(t *testing.T) {
	tests := []struct {
		name, query, want string
	}{
		{"none", "", ""},
		{"good", "compression=xz&priority=10&trusted=yes&secret-keys=/a,/b&ls-compression=", ""},
		{"unknown", "comperssion=xz", `unknown parameter "comperssion"; the nearest known one is "compression"`},
		{"malformed", "want-mass-query=maybe", "want-mass-query=maybe: expected true, yes, 1, false, no or 0"},
		{"of S3", "region=eu-west-1", "region is a parameter of s3:// URLs, not of this one"},
		{"of the transport", "retry-attempts=3", "retry-attempts is a parameter of s3:// and http:// URLs, not of this one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := s3url.ParseQuery(tt.query)
			require.NoError(t, err)
			err = s3url.ValidateSettings(v)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tt.want)
		})
	}
}

func TestParseQuery(t *testing.T) {
	v, err := s3url.ParseQuery("secret-key=/k/c++.sec&&a%20b=c%3Dd=e&x=&x=2")
	require.NoError(t, err)
	assert.Equal(t, url.Values{"secret-key": {"/k/c++.sec"}, "a b": {"c=d=e"}, "x": {"", "2"}}, v)
	for query, want := range map[string]string{
		"trusted":    `parameter "trusted" has no value, expected trusted=value`,
		"a=%4":       `parameter "a=%4": invalid URL escape "%4"`,
		"%zz=1&ok=1": `parameter "%zz=1": invalid URL escape "%zz"`,
	} {
		v, err := s3url.ParseQuery(query)
		require.EqualError(t, err, want)
		assert.Nil(t, v)
	}
}

func TestParseTransport(t *testing.T) {
	v := url.Values{"retry-attempts": {"3"}, "retry-delay": {"10"}, "tls-certificate": {"/c"}, "compression": {"none"}}
	transport, rest, err := s3url.ParseTransport(v)
	require.NoError(t, err)
	assert.Equal(t, s3url.Transport{TLSCertificate: "/c", RetryAttempts: 3, RetryDelay: new(10 * time.Millisecond)}, transport)
	assert.Equal(t, url.Values{"compression": {"none"}}, rest)
	assert.Len(t, v, 4, "the argument is left alone")

	for want, v := range map[string]url.Values{
		"retry-delay=x: not an integer":         {"retry-delay": {"x"}},
		"tls-private-key needs tls-certificate": {"tls-private-key": {"/k"}},
		"region is a parameter of s3:// URLs":   {"region": {"x"}},
	} {
		_, _, err := s3url.ParseTransport(v)
		require.ErrorContains(t, err, want)
	}
}

func TestParseFile(t *testing.T) {
	v := url.Values{"fsync": {"false"}, "compression": {"none"}}
	fsync, rest, err := s3url.ParseFile(v)
	require.NoError(t, err)
	assert.Equal(t, new(false), fsync)
	assert.Equal(t, url.Values{"compression": {"none"}}, rest)
	assert.Len(t, v, 2, "the argument is left alone")

	for want, v := range map[string]url.Values{
		"fsync=maybe:":                        {"fsync": {"maybe"}},
		"region is a parameter of s3:// URLs": {"region": {"x"}},
		`the nearest known one is "fsync"`:    {"fsink": {"false"}},
	} {
		_, _, err := s3url.ParseFile(v)
		require.ErrorContains(t, err, want)
	}
	_, _, err = s3url.ParseTransport(url.Values{"fsync": {"false"}})
	require.EqualError(t, err, "fsync is a parameter of file:// URLs, not of this one")
	_, err = s3url.Parse("s3://bucket?fsync=false")
	require.ErrorContains(t, err, "fsync is a parameter of file:// URLs, not of this one")
}

func TestBooleans(t *testing.T) {
	for s, want := range map[string]bool{"true": true, "yes": true, "1": true, "false": false, "no": false, "0": false} {
		got, _, err := s3url.ParseFile(url.Values{"fsync": {s}})
		require.NoError(t, err)
		assert.Equal(t, &want, got, s)
	}
	for _, s := range []string{"", "TRUE", "on", "t", " 1"} {
		_, _, err := s3url.ParseFile(url.Values{"fsync": {s}})
		assert.Error(t, err, s)
	}
}
