package s3url_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name string
		url  string
		want s3url.URL
	}{
		{"bucket alone", "s3://my-bucket", s3url.URL{Bucket: "my-bucket"}},
		{"trailing slash", "s3://my-bucket/", s3url.URL{Bucket: "my-bucket"}},
		{"scheme in capitals", "S3://my-bucket", s3url.URL{Bucket: "my-bucket"}},
		{"dots and digits", "s3://1.my.bucket.9", s3url.URL{Bucket: "1.my.bucket.9"}},
		{"prefix", "s3://my-bucket/a/b", s3url.URL{Bucket: "my-bucket", Prefix: "a/b"}},
		{"prefix with slashes around it", "s3://my-bucket//a/b//", s3url.URL{Bucket: "my-bucket", Prefix: "/a/b"}},
		{"prefix with empty segment", "s3://my-bucket/a//b", s3url.URL{Bucket: "my-bucket", Prefix: "a//b"}},
		{"prefix encoded", "s3://my-bucket/a%20b%3Fc/%C3%A4", s3url.URL{Bucket: "my-bucket", Prefix: "a b?c/ä"}},
		{"plus is not a space", "s3://my-bucket/c++?secret-key=/k/c++.sec", s3url.URL{
			Bucket: "my-bucket", Prefix: "c++", Rest: url.Values{"secret-key": {"/k/c++.sec"}},
		}},
		{"first value wins", "s3://bucket/key?region=us-west-2&profile=prod&endpoint=custom.s3.com&scheme=https&region=us-east-1", s3url.URL{
			Bucket: "bucket", Prefix: "key", Region: "us-west-2", Profile: "prod", Endpoint: "custom.s3.com", Scheme: "https",
		}},
		{"an empty value counts as absent", "s3://bucket?region=&compression=&profile=dev", s3url.URL{Bucket: "bucket", Profile: "dev"}},
		{"empty pairs", "s3://bucket?&&region=eu-west-1&", s3url.URL{Bucket: "bucket", Region: "eu-west-1"}},
		{"host and port are not a scheme", "s3://bucket/key?endpoint=localhost:9000", s3url.URL{Bucket: "bucket", Prefix: "key", Endpoint: "localhost:9000"}},
		{"version", "s3://my-bucket/my-key.txt?versionId=abc123xyz", s3url.URL{Bucket: "my-bucket", Prefix: "my-key.txt", VersionID: "abc123xyz"}},
		{"old bucket name on another server", "s3://My_Bucket?endpoint=https://ceph.example.org", s3url.URL{Bucket: "My_Bucket", Endpoint: "https://ceph.example.org"}},
		{"addressing", "s3://bucket?addressing-style=virtual", s3url.URL{Bucket: "bucket", AddressingStyle: "virtual"}},
		{
			"multipart", "s3://bucket?multipart-upload=false&multipart-chunk-size=16M&multipart-threshold=20971520",
			s3url.URL{Bucket: "bucket", MultipartUpload: new(false), MultipartChunkSize: 16 << 20, MultipartThreshold: 20 << 20},
		},
		{"alias", "s3://bucket?buffer-size=8388608&multipart-chunk-size=16M", s3url.URL{Bucket: "bucket", MultipartChunkSize: 8 << 20}},
		{"threshold of zero", "s3://bucket?multipart-threshold=0&retry-attempts=0", s3url.URL{
			Bucket: "bucket", MultipartThreshold: 1, Transport: s3url.Transport{RetryAttempts: 1},
		}},
		{"storage and retries", "s3://bucket?storage-class=STANDARD_IA&retryable-exception-names=SlowDown,%20InternalError,", s3url.URL{
			Bucket: "bucket", StorageClass: "STANDARD_IA", RetryableExceptionNames: []string{"SlowDown", "InternalError"},
		}},
		{
			"transport", "s3://bucket?tls-certificate=/c.pem&tls-private-key=/k.pem&retry-attempts=8&retry-delay=0&retry-max-delay=30000&retry-delay-rate-limited=2500",
			s3url.URL{Bucket: "bucket", Transport: s3url.Transport{
				TLSCertificate: "/c.pem", TLSPrivateKey: "/k.pem", RetryAttempts: 8, RetryDelay: new(time.Duration(0)),
				RetryMaxDelay: new(30 * time.Second), RetryDelayRateLimited: new(2500 * time.Millisecond),
			}},
		},
		{
			"extensions", "s3://bucket?sse=aws:kms&sse-kms-key-id=alias/nix&requester-pays=yes&accelerate=1&dualstack=true&cache-control=public,%20max-age=60&tags=team=infra,stage=&max-concurrency=32",
			s3url.URL{
				Bucket: "bucket", SSE: "aws:kms", SSEKMSKeyID: "alias/nix", RequesterPays: true, Accelerate: true, DualStack: true,
				CacheControl: "public, max-age=60", Tags: map[string]string{"team": "infra", "stage": ""}, MaxConcurrency: 32,
			},
		},
		{"anonymous and fips", "s3://bucket?anonymous=true&fips=true&accelerate=no", s3url.URL{Bucket: "bucket", Anonymous: true, FIPS: true}},
		{
			"cache settings", "s3://bucket?compression=zstd&compression-level=-1&parallel-compression=1&priority=40&store=/gnu/store&secret-keys=/a,/b&system-features=kvm%20big-parallel&trusted=no",
			s3url.URL{Bucket: "bucket", Rest: url.Values{
				"compression": {"zstd"}, "compression-level": {"-1"}, "parallel-compression": {"1"}, "priority": {"40"},
				"store": {"/gnu/store"}, "secret-keys": {"/a,/b"}, "system-features": {"kvm big-parallel"}, "trusted": {"no"},
			}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s3url.Parse(tt.url)
			require.NoError(t, err)
			assert.EqualExportedValues(t, tt.want, *got)
		})
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		name string
		url  string
		want string // part of the message
	}{
		{"nothing", "", "expected s3://bucket"},
		{"other scheme", "https://bucket", "expected s3://bucket"},
		{"no authority", "s3:bucket", "expected s3://bucket"},
		{"endless", "s3://bucket?region=" + strings.Repeat("a", 1<<16), "longer than 65536 bytes"},
		{"bucket missing", "s3://", "the bucket is missing"},
		{"bucket missing before a key", "s3:///key", "the bucket is missing"},
		{"bucket missing before a query", "s3://?region=eu-west-1", "the bucket is missing"},
		{"bucket is IPv4", "s3://127.0.0.1", "invalid bucket name: it is an IP address"},
		{"bucket is IPv6", "s3://[::1]/key", "invalid bucket name"},
		{"bucket with port", "s3://localhost:9000/cache", "a server and its port go into endpoint="},
		{"bucket with spaces", "s3://bucket with spaces/key", "invalid bucket name: ' ' is not allowed"},
		{"bucket too long", "s3://" + strings.Repeat("a", 256), "256 bytes, expected at most 255"},
		{"bucket not ASCII", "s3://bü", "invalid bucket name"},
		{"bucket badly encoded", "s3://b%zz", "invalid URL escape"},
		{"bucket with an encoded slash", "s3://b%2Fc", "invalid bucket name: '/' is not allowed"},
		{"bucket of dots", "s3://..", "HTTP clients remove it"},
		{"virtual style for a name with capitals", "s3://Bucket?addressing-style=virtual", "cannot be a part of a host name"},
		{"credentials", "s3://user:secret@bucket", "credentials do not belong into the URL"},
		{"fragment", "s3://bucket#part", `a "#" has no meaning here`},
		{"prefix badly encoded", "s3://bucket/a%zz", `invalid URL escape "%zz"`},
		{"prefix not UTF-8", "s3://bucket/%ff", "not valid UTF-8"},
		{"prefix with NUL", "s3://bucket/a%00b", "contains NUL"},
		{"prefix climbing", "s3://bucket/a/../b", `has the segment ".."`},
		{"prefix climbing, encoded", "s3://bucket/%2e%2e", `has the segment ".."`},
		{"prefix too long", "s3://bucket/" + strings.Repeat("a", 1025), "expected 1 to 1024 bytes"},
		{"unknown parameter", "s3://bucket?regoin=eu-west-1", `unknown parameter "regoin"; the nearest known one is "region"`},
		{"near to nothing", "s3://bucket?foo=1", `unknown parameter "foo"`},
		{"wrong case", "s3://bucket?versionid=x", `the nearest known one is "versionId"`},
		{"near to an alias", "s3://bucket?buffersize=x", `the nearest known one is "buffer-size"`},
		{"near to a cache setting", "s3://bucket?secret_key=x", `the nearest known one is "secret-key"`},
		{"nameless", "s3://bucket?=x", `unknown parameter ""`},
		{"without value", "s3://bucket?trusted", `parameter "trusted" has no value, expected trusted=value`},
		{"name badly encoded", "s3://bucket?a%=x", "invalid URL escape"},
		{"value badly encoded", "s3://bucket?region=%4", "invalid URL escape"},
		{"bool", "s3://bucket?multipart-upload=on", "multipart-upload=on: expected true, yes, 1, false, no or 0"},
		{"bool of a setting", "s3://bucket?trusted=TRUE", "trusted=TRUE: expected true, yes, 1, false, no or 0"},
		{"empty bool", "s3://bucket?anonymous=", "anonymous=: expected true, yes"},
		{"enum", "s3://bucket?addressing-style=bogus", "expected one of auto, path, virtual"},
		{"compression", "s3://bucket?compression=zst", `the nearest is "zstd"`},
		{"scheme", "s3://bucket?scheme=ftp", "expected one of http, https"},
		{"region with a host in it", "s3://bucket?region=evil.example/", "'.' is not allowed in the name of a region"},
		{"chunk too small", "s3://bucket?multipart-chunk-size=1M", "expected at least 5242880"},
		{"chunk of zero", "s3://bucket?buffer-size=0", "buffer-size=0: expected at least 5242880"},
		{"chunk too large", "s3://bucket?multipart-chunk-size=6G", "expected a number from 0 to 5368709120"},
		{"chunk overflowing", "s3://bucket?multipart-chunk-size=9223372036854775807T", "expected a number from"},
		{"number beyond 64 bits", "s3://bucket?multipart-threshold=99999999999999999999", "expected a number from"},
		{"no number", "s3://bucket?multipart-chunk-size=big", "not an integer"},
		{"unknown unit", "s3://bucket?multipart-chunk-size=8X", "not an integer"},
		{"unit alone", "s3://bucket?multipart-chunk-size=M", "not an integer"},
		{"negative delay", "s3://bucket?retry-delay=-1", "expected a number from 0"},
		{"negative attempts", "s3://bucket?retry-attempts=-1", "expected a number from 0"},
		{"no concurrency", "s3://bucket?max-concurrency=0", "expected at least 1"},
		{"level", "s3://bucket?compression-level=high", "not an integer"},
		{"negative cache", "s3://bucket?path-info-cache-size=-5", "expected a number from 0"},
		{"relative store", "s3://bucket?store=nix/store", "expected an absolute path"},
		{"header in header", "s3://bucket?cache-control=a%0d%0ax:y", "control characters are not allowed"},
		{"storage class", "s3://bucket?storage-class=a%20b", "' ' is not allowed"},
		{"exception name", "s3://bucket?retryable-exception-names=a;b", "';' is not allowed"},
		{"profile not UTF-8", "s3://bucket?profile=%ff", "not valid UTF-8"},
		{"tag without value", "s3://bucket?tags=a", "expected name=value"},
		{"tag twice", "s3://bucket?tags=a=1,a=2", `tag "a" is given twice`},
		{"tag with bad character", "s3://bucket?tags=a=%3C", "is not allowed"},
		{"tag name too long", "s3://bucket?tags=" + strings.Repeat("a", 129) + "=", "expected at most 128 characters"},
		{"eleven tags", "s3://bucket?tags=a=,b=,c=,d=,e=,f=,g=,h=,i=,j=,k=", "11 tags: S3 allows 10"},
		{"virtual with dotted bucket", "s3://my.bucket?addressing-style=virtual", "use addressing-style=path"},
		{"virtual on an address", "s3://bucket?addressing-style=virtual&endpoint=http://127.0.0.1:9000", "the endpoint is an IP address"},
		{"anonymous with profile", "s3://bucket?anonymous=true&profile=dev", "anonymous=true excludes profile"},
		{"anonymous requester pays", "s3://bucket?anonymous=true&requester-pays=true", "cannot charge an anonymous requester"},
		{"KMS key without KMS", "s3://bucket?sse=AES256&sse-kms-key-id=x", "needs sse=aws:kms"},
		{"accelerated endpoint", "s3://bucket?accelerate=true&endpoint=localhost:9000", "accelerate=true excludes"},
		{"accelerated dotted bucket", "s3://my.bucket?accelerate=true", "accelerate=true excludes"},
		{"dualstack endpoint", "s3://bucket?dualstack=true&endpoint=localhost:9000", "dualstack=true excludes endpoint"},
		{"fips endpoint", "s3://bucket?fips=true&endpoint=localhost:9000", "fips=true excludes endpoint"},
		{"key without certificate", "s3://bucket?tls-private-key=/k.pem", "tls-private-key needs tls-certificate"},
		{"endpoint without host", "s3://bucket?endpoint=https:///x", "the host is missing"},
		{"endpoint with port alone", "s3://bucket?endpoint=:9000", "the host is missing"},
		{"endpoint of a file", "s3://bucket?endpoint=file:///x", `scheme "file", expected http or https`},
		{"endpoint with bad port", "s3://bucket?endpoint=localhost:99999", `port "99999", expected 1 to 65535`},
		{"endpoint with port of letters", "s3://bucket?endpoint=localhost:port", "expected https://host[:port]"},
		{"endpoint IPv6 without brackets", "s3://bucket?endpoint=::1", "expected https://host[:port]"},
		{"endpoint with credentials", "s3://bucket?endpoint=https://a:b@host", "credentials do not belong into the URL"},
		{"endpoint with query", "s3://bucket?endpoint=https://host?x=y", "neither query nor fragment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := s3url.Parse(tt.url)
			require.ErrorContains(t, err, tt.want)
			assert.Nil(t, u)
			assert.NotContains(t, err.Error(), "secret@", "no credentials in messages")
		})
	}
}

func TestString(t *testing.T) {
	tests := []struct{ name, url, want string }{
		{"plain", "s3://bucket", "s3://bucket"},
		{"slashes around the prefix, of which those before it count", "S3://bucket//a/", "s3://bucket//a"},
		{"encoding", "s3://bucket/%61 b/c+d?secret-key=/k%2fx%26y&profile=a+b%20c", "s3://bucket/a%20b/c%2Bd?profile=a%2Bb%20c&secret-key=/k/x%26y"},
		{"order, repetition, defaults", "s3://bucket?trusted=1&region=a&anonymous=false&region=b", "s3://bucket?region=a&trusted=1"},
		{"alias kept", "s3://bucket?buffer-size=8M", "s3://bucket?buffer-size=8388608"},
		{"tags sorted", "s3://bucket?tags=b=2,a=1", "s3://bucket?tags=a=1,b=2"},
		{"readable endpoint", "s3://bucket?endpoint=http://[::1]:9000/s3", "s3://bucket?endpoint=http://%5B::1%5D:9000/s3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := s3url.Parse(tt.url)
			require.NoError(t, err)
			assert.Equal(t, tt.want, u.String())
		})
	}
}

// TestStringParsesBack covers every field, which is what the fuzz target
// cannot promise.
func TestStringParsesBack(t *testing.T) {
	u := &s3url.URL{
		Bucket: "bucket", Prefix: "a b/ü", Profile: "dev&ops", Region: "eu-west-1", Scheme: "http", Endpoint: "[::1]:9000",
		AddressingStyle: "path", MultipartUpload: new(true), MultipartChunkSize: 6 << 20, MultipartThreshold: 7 << 20,
		StorageClass: "GLACIER_IR", VersionID: "a+b/c=", RetryableExceptionNames: []string{"A", "B"},
		Transport: s3url.Transport{
			TLSCertificate: "/c", TLSPrivateKey: "/k", RetryAttempts: 3, RetryDelay: new(time.Second),
			RetryMaxDelay: new(time.Duration(0)), RetryDelayRateLimited: new(time.Minute),
		},
		SSE: "aws:kms:dsse", SSEKMSKeyID: "arn:aws:kms:eu-west-1:1:key/2", RequesterPays: true,
		CacheControl: "no-store", Tags: map[string]string{"a=": ""}, MaxConcurrency: 9,
		Rest: url.Values{"compression": {"none"}, "store": {"/nix/store"}},
	}
	u.Tags = map[string]string{"a": "=x", "b": ""}
	got, err := s3url.Parse(u.String())
	require.NoError(t, err)
	assert.Equal(t, u, got)
}

func TestValidateByHand(t *testing.T) {
	tests := []struct {
		name string
		url  s3url.URL
		want string
	}{
		{"zero", s3url.URL{}, "the bucket is missing"},
		{"chunk", s3url.URL{Bucket: "bucket", MultipartChunkSize: 1}, "multipart-chunk-size=1: expected at least"},
		{"delay", s3url.URL{Bucket: "bucket", Transport: s3url.Transport{RetryDelay: new(-time.Second)}}, "retry-delay=-1000"},
		{"tag", s3url.URL{Bucket: "bucket", Tags: map[string]string{"a,b": "c"}}, "tags=a,b=c"},
		{"setting", s3url.URL{Bucket: "bucket", Rest: url.Values{"region": {"x"}}}, "region is a parameter of s3:// URLs"},
		{"prefix", s3url.URL{Bucket: "bucket", Prefix: "a/./b"}, `has the segment "."`},
		{"prefix with a slash", s3url.URL{Bucket: "bucket", Prefix: "a/"}, "expected no slash at its end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorContains(t, tt.url.Validate(), tt.want)
		})
	}
	require.NoError(t, (&s3url.URL{Bucket: "bucket"}).Validate())
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"s3://bucket/key?endpoint=localhost:9000",
		"s3://bucket/a%20b/c+d?secret-key=/k%26y&compression=zstd&buffer-size=16M",
		"s3://my.bucket?region=cn-north-1&scheme=http&multipart-upload=no&versionId=%00",
		"s3://bucket?endpoint=http://[::1]:9000/x/&addressing-style=path&retry-delay=0&tags=a=b,c=",
		"s3://bucket?accelerate=1&dualstack=yes&profile=ü&region=a&region=b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := s3url.Parse(s)
		if err != nil {
			return
		}
		again, err := s3url.Parse(u.String())
		require.NoError(t, err, "%q became %q", s, u)
		assert.EqualExportedValues(t, *u, *again)
		assert.Equal(t, u.String(), again.String())
		o, err := u.ObjectURL("nix-cache-info")
		if len(u.Prefix) < 1000 {
			require.NoError(t, err)
			parsed, err := url.Parse(o.String())
			require.NoError(t, err)
			assert.Equal(t, o.Path, parsed.Path)
			assert.Equal(t, o.Host, parsed.Host)
		}
		assert.Len(t, u.Parameters(), len((&s3url.URL{}).Parameters()))
		u.Warnings()
	})
}

func BenchmarkParse(b *testing.B) {
	const s = "s3://my-cache/prefix?region=eu-west-1&profile=ci&compression=zstd&secret-key=/run/keys/cache&multipart-chunk-size=16M"
	b.ReportAllocs()
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		if _, err := s3url.Parse(s); err != nil {
			b.Fatal(err)
		}
	}
}
