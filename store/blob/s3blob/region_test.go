package s3blob_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
)

// regionalS3 is Amazon with one bucket, in one region: requests to the host of
// another, or signed for another, get the answer that they get there.
type regionalS3 struct {
	region string
	answer func(region string, wrong *http.Request) *http.Response

	mu    sync.Mutex
	log   []string // "METHOD host region-of-signature"
	bytes int
}

func (s *regionalS3) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, signed := signer(req)
	s.log = append(s.log, req.Method+" "+req.URL.Host+" "+signed)
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	if signed != s.region && signed != "" || req.URL.Host != "bucket.s3."+s.region+".amazonaws.com" {
		response := s.answer(s.region, req)
		response.Request = req
		return response, nil
	}
	s.bytes += len(body)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Etag": {`"e"`}, "Content-Length": {"0"}}, Body: http.NoBody, Request: req,
	}, nil
}

func respond(status int, body string, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func (s *regionalS3) open(t *testing.T, parameters string, opts s3blob.Options) *s3blob.Bucket {
	newAWSHome(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "KEY")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	u, err := s3url.Parse("s3://bucket?" + parameters)
	require.NoError(t, err)
	opts.Transport = s
	b, err := s3blob.Open(context.Background(), u, opts)
	require.NoError(t, err)
	return b
}

func TestRegionIsFollowed(t *testing.T) {
	tests := []struct {
		name       string
		parameters string
		answer     func(region string, wrong *http.Request) *http.Response
	}{
		{"redirect with header", "", func(region string, _ *http.Request) *http.Response {
			return respond(http.StatusMovedPermanently, "", "x-amz-bucket-region", region)
		}},
		{"temporary redirect", "region=us-west-2", func(region string, _ *http.Request) *http.Response {
			return respond(http.StatusTemporaryRedirect, "<Error><Code>TemporaryRedirect</Code></Error>", "x-amz-bucket-region", region)
		}},
		{"signature for another region, HEAD", "", func(region string, _ *http.Request) *http.Response {
			return respond(http.StatusBadRequest, "", "x-amz-bucket-region", region)
		}},
		{"region in the body", "", func(region string, _ *http.Request) *http.Response {
			return respond(http.StatusBadRequest, "<?xml version=\"1.0\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting another</Message><Region>"+region+"</Region></Error>")
		}},
		{"anonymous", "anonymous=true", func(region string, _ *http.Request) *http.Response {
			return respond(http.StatusMovedPermanently, "", "x-amz-bucket-region", region)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := &regionalS3{region: "eu-central-1", answer: tt.answer}
			var log bytes.Buffer
			b := server.open(t, tt.parameters, s3blob.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			_, err := b.Head(t.Context(), "key")
			require.NoError(t, err)
			require.Len(t, server.log, 2, "one detour")
			content := bytes.NewReader(bytes.Repeat([]byte("x"), 100_000))
			_, err = b.Put(t.Context(), "key", content, blob.PutOptions{})
			require.NoError(t, err)
			assert.Len(t, server.log, 3, "the region is remembered")
			assert.Equal(t, 1, strings.Count(log.String(), "set region="), "said once: %s", &log)
			assert.Contains(t, log.String(), "region=eu-central-1")
			if tt.parameters == "anonymous=true" {
				return // has nothing to presign with
			}
			url, err := b.PresignGet(t.Context(), "key", 1e9)
			require.NoError(t, err)
			assert.Contains(t, url, "bucket.s3.eu-central-1.amazonaws.com", "presigned for it, too")
		})
	}
}

// TestRegionBodyIsReplayed has the detour in the first request, which has a
// body.
func TestRegionBodyIsReplayed(t *testing.T) {
	server := &regionalS3{region: "eu-central-1", answer: func(region string, _ *http.Request) *http.Response {
		return respond(http.StatusMovedPermanently, "", "x-amz-bucket-region", region)
	}}
	b := server.open(t, "", s3blob.Options{})
	_, err := b.Put(t.Context(), "key", strings.NewReader(strings.Repeat("x", 100_000)), blob.PutOptions{})
	require.NoError(t, err)
	assert.Equal(t, []string{
		"PUT bucket.s3.us-east-1.amazonaws.com us-east-1",
		"PUT bucket.s3.eu-central-1.amazonaws.com eu-central-1",
	}, server.log)
	assert.GreaterOrEqual(t, server.bytes, 100_000, "the body arrives whole")
}

func TestRegionIsNotFollowed(t *testing.T) {
	tests := []struct {
		name     string
		answer   func(region string, wrong *http.Request) *http.Response
		requests int
		want     error
	}{
		{"nothing told", func(string, *http.Request) *http.Response {
			return respond(http.StatusMovedPermanently, "")
		}, 1, blob.ErrRegion},
		{"the region that was asked", func(string, *http.Request) *http.Response {
			return respond(http.StatusMovedPermanently, "", "x-amz-bucket-region", "us-east-1")
		}, 1, blob.ErrRegion},
		{"regions that name each other", func(_ string, wrong *http.Request) *http.Response {
			_, asked := signer(wrong)
			return respond(http.StatusMovedPermanently, "", "x-amz-bucket-region", map[string]string{"us-east-1": "us-east-2", "us-east-2": "us-east-1"}[asked])
		}, 2, blob.ErrRegion},
		{"a host in place of a region", func(string, *http.Request) *http.Response {
			return respond(http.StatusMovedPermanently, "", "x-amz-bucket-region", "evil.example/")
		}, 1, blob.ErrRegion},
		{"a denial", func(region string, _ *http.Request) *http.Response {
			return respond(http.StatusForbidden, "", "x-amz-bucket-region", region)
		}, 1, blob.ErrAccessDenied},
		{"a body that is no XML", func(string, *http.Request) *http.Response {
			return respond(http.StatusMovedPermanently, "<Region>eu-central-1")
		}, 1, blob.ErrRegion},
		{"a region behind too much else", func(region string, _ *http.Request) *http.Response {
			return respond(http.StatusMovedPermanently, fmt.Sprintf("<Error><x>%s</x><Region>%s</Region></Error>", strings.Repeat("x", 64<<10), region))
		}, 1, blob.ErrRegion},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := &regionalS3{region: "eu-central-1", answer: tt.answer}
			b := server.open(t, "", s3blob.Options{})
			_, err := b.Get(t.Context(), "key", blob.GetOptions{})
			require.ErrorIs(t, err, tt.want)
			assert.Len(t, server.log, tt.requests)
		})
	}
}

// TestRegionOfTheEnvironment covers where the region comes from before
// anything is sent.
func TestRegionOfTheEnvironment(t *testing.T) {
	const config = "[default]\nregion = eu-south-1\n[profile dev]\nregion = eu-north-1\n"
	tests := []struct {
		name, environment, parameters, want string
	}{
		{"nothing", "", "", "us-east-1"},
		{"URL", "eu-west-2", "region=eu-west-1", "eu-west-1"},
		{"environment", "eu-west-2", "", "eu-west-2"},
		{"environment before the profile", "eu-west-2", "profile=dev", "eu-west-2"},
		{"profile", "", "profile=dev", "eu-north-1"},
		{"default profile", "", "profile=default", "eu-south-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newAWSHome(t)
			if tt.name != "nothing" {
				h.write("config", config)
			}
			h.write("credentials", staticKeys)
			t.Setenv("AWS_REGION", tt.environment)
			req, err := head(t, "s3://bucket?"+tt.parameters)
			require.NoError(t, err)
			_, region := signer(req)
			assert.Equal(t, tt.want, region)
			assert.Equal(t, "bucket.s3."+tt.want+".amazonaws.com", req.URL.Host)
		})
	}
}
