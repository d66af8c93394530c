package fakes3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

const bucket = "cache"

// start starts a server with a bucket and a client of the AWS SDK for it.
func start(t *testing.T, opts fakes3.Options, change ...func(*s3.Options)) (*fakes3.Server, *s3.Client) {
	t.Helper()
	if opts.Buckets == nil {
		opts.Buckets = []string{bucket}
	}
	server, err := fakes3.Start(opts)
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	return server, client(server, change...)
}

func client(server *fakes3.Server, change ...func(*s3.Options)) *s3.Client {
	c := fakes3.DefaultCredentials
	cfg := aws.Config{
		Region:                     server.Region(),
		Credentials:                credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, ""),
		HTTPClient:                 server.Client(),
		BaseEndpoint:               aws.String(server.Endpoint()),
		Retryer:                    func() aws.Retryer { return aws.NopRetryer{} },
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
	return s3.NewFromConfig(cfg, append([]func(*s3.Options){func(o *s3.Options) { o.UsePathStyle = true }}, change...)...)
}

func put(ctx context.Context, c *s3.Client, key, body string) error {
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)})
	return err
}

func get(ctx context.Context, c *s3.Client, key string) (string, error) {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	return string(body), err
}

// code returns the S3 error code in err, or the HTTP status text for an answer
// without a body.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func status(err error) int {
	var r interface{ HTTPStatusCode() int }
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

func whenRequired(o *s3.Options) {
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}

func TestEveryWayOfTalkingToIt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		opts   fakes3.Options
		client func(*s3.Options)
	}{
		{"plain", fakes3.Options{}, func(*s3.Options) {}},
		{"plain, no checksums", fakes3.Options{NoChecksums: true, NoChunked: true}, whenRequired},
		{"TLS, trailing checksums", fakes3.Options{TLS: true}, func(*s3.Options) {}},
		{"TLS and HTTP/2", fakes3.Options{TLS: true, HTTP2: true}, func(*s3.Options) {}},
		{"virtual hosts", fakes3.Options{NoPathStyle: true}, func(o *s3.Options) {
			o.UsePathStyle = false
			o.BaseEndpoint = aws.String("http://localhost")
		}},
		{"virtual hosts on TLS", fakes3.Options{NoPathStyle: true, TLS: true, Domain: "s3.example"}, func(o *s3.Options) {
			o.UsePathStyle = false
			o.BaseEndpoint = aws.String("https://s3.example")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, c := start(t, tt.opts, tt.client)
			ctx := t.Context()
			key, body := "dir/a+b !:=?%ä.txt", strings.Repeat("content", 30000)
			_, err := c.PutObject(ctx, &s3.PutObjectInput{
				Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body),
				ContentType: aws.String("text/plain"), ContentEncoding: aws.String("zstd"), CacheControl: aws.String("max-age=1"),
			})
			require.NoError(t, err)

			stored, ok := server.Object(bucket, key)
			require.True(t, ok)
			assert.Equal(t, body, string(stored.Body))
			assert.Equal(t, "zstd", stored.Header.Get("Content-Encoding"), "without aws-chunked")

			head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key})
			require.NoError(t, err)
			assert.Equal(t, stored.ETag, *head.ETag)
			assert.Equal(t, "text/plain", *head.ContentType)
			assert.Equal(t, "zstd", *head.ContentEncoding)
			assert.Equal(t, "max-age=1", *head.CacheControl)
			assert.EqualValues(t, len(body), *head.ContentLength)

			got, err := get(ctx, c, key)
			require.NoError(t, err)
			assert.Equal(t, body, got)

			part, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key, Range: aws.String("bytes=7-13")})
			require.NoError(t, err)
			partial, err := io.ReadAll(part.Body)
			require.NoError(t, err)
			assert.Equal(t, "content", string(partial))

			listed, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
			require.NoError(t, err)
			require.Len(t, listed.Contents, 1)
			assert.Equal(t, key, *listed.Contents[0].Key)

			_, err = c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{
				Objects: []types.ObjectIdentifier{{Key: &key}, {Key: aws.String("absent")}},
			}})
			require.NoError(t, err)
			_, err = get(ctx, c, key)
			assert.Equal(t, "NoSuchKey", code(err))

			for _, r := range server.Requests() {
				assert.True(t, r.Done)
				assert.Equal(t, bucket, r.Bucket)
				if r.Op == "PutObject" {
					assert.Equal(t, key, r.Key)
				}
			}
			assert.Equal(t, map[string]int{
				"PutObject": 1, "HeadObject": 1, "GetObject": 3, "ListObjectsV2": 1, "DeleteObjects": 1,
			}, server.Counts())
		})
	}
}

func TestPresigned(t *testing.T) {
	now := time.Now()
	server, c := start(t, fakes3.Options{Now: func() time.Time { return now }})
	require.NoError(t, put(t.Context(), c, "a b+c", "content"))
	signer := s3.NewPresignClient(c)
	input := &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("a b+c")}
	req, err := signer.PresignGetObject(t.Context(), input, s3.WithPresignExpires(time.Minute))
	require.NoError(t, err)

	fetch := func(url string) int {
		resp, err := server.Client().Get(url)
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	assert.Equal(t, http.StatusOK, fetch(req.URL))
	assert.Equal(t, http.StatusForbidden, fetch(strings.Replace(req.URL, "a%20b", "a%20x", 1)), "another key")
	now = now.Add(2 * time.Minute)
	assert.Equal(t, http.StatusForbidden, fetch(req.URL), "expired")
}

func TestAuthentication(t *testing.T) {
	signed := func(c fakes3.Credentials) func(*s3.Options) {
		return func(o *s3.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, c.SessionToken)
		}
	}
	known := fakes3.Credentials{AccessKey: "temp", SecretKey: "secret", SessionToken: "token", Expires: time.Now().Add(time.Hour)}
	old := fakes3.Credentials{AccessKey: "old", SecretKey: "secret", Expires: time.Now().Add(-time.Hour)}
	reader := fakes3.Credentials{AccessKey: "reader", SecretKey: "secret", Access: fakes3.ReadAccess}
	opts := fakes3.Options{Credentials: []fakes3.Credentials{known, old, reader}}

	for _, tt := range []struct {
		name   string
		opts   fakes3.Options
		client func(*s3.Options)
		want   string
	}{
		{"known", opts, signed(known), ""},
		{"unknown key", opts, signed(fakes3.Credentials{AccessKey: "who", SecretKey: "secret"}), "InvalidAccessKeyId"},
		{"wrong secret", opts, signed(fakes3.Credentials{AccessKey: "temp", SecretKey: "guess", SessionToken: "token"}), "SignatureDoesNotMatch"},
		{"wrong token", opts, signed(fakes3.Credentials{AccessKey: "temp", SecretKey: "secret", SessionToken: "other"}), "InvalidToken"},
		{"expired", opts, signed(old), "ExpiredToken"},
		{"may not write", opts, signed(reader), "AccessDenied"},
		{"anonymous", fakes3.Options{}, func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} }, "AccessDenied"},
		{"anonymous reader", fakes3.Options{Anonymous: fakes3.ReadAccess}, func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} }, "AccessDenied"},
		{"anonymous writer", fakes3.Options{Anonymous: fakes3.FullAccess}, func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} }, ""},
		{"clock", fakes3.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }}, func(*s3.Options) {}, "RequestTimeTooSkewed"},
		{"another region", fakes3.Options{}, func(o *s3.Options) { o.Region = "eu-west-1" }, "AuthorizationHeaderMalformed"},
		{"redirect to another region", fakes3.Options{RedirectRegion: true}, func(o *s3.Options) { o.Region = "eu-west-1" }, "PermanentRedirect"},
		// The SDK signs Accept-Encoding, which a proxy changes.
		{"proxy", fakes3.Options{ProxyAcceptEncoding: "gzip(gfe)"}, func(*s3.Options) {}, "SignatureDoesNotMatch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, c := start(t, tt.opts, tt.client)
			err := put(t.Context(), c, "key", "content")
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, tt.want, code(err), "%v", err)
			assert.Empty(t, server.Keys(bucket))
			assert.Equal(t, tt.want, server.Requests()[0].Code)
		})
	}
	t.Run("rotation", func(t *testing.T) {
		server, c := start(t, opts, signed(known))
		require.NoError(t, put(t.Context(), c, "key", "content"))
		server.SetCredentials(reader)
		assert.Equal(t, "InvalidAccessKeyId", code(put(t.Context(), c, "key", "content")))
	})
	t.Run("tampered body", func(t *testing.T) {
		server, c := start(t, fakes3.Options{}, whenRequired, func(o *s3.Options) {
			o.HTTPClient = tamper{o.HTTPClient}
		})
		assert.Equal(t, "XAmzContentSHA256Mismatch", code(put(t.Context(), c, "key", "content")))
		assert.Empty(t, server.Keys(bucket))
	})
	t.Run("unsigned header", func(t *testing.T) {
		_, c := start(t, fakes3.Options{}, func(o *s3.Options) {
			inner := o.HTTPClient
			o.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
				r.Header.Set("X-Amz-Acl", "public-read")
				return inner.Do(r)
			})
		})
		assert.Equal(t, "AccessDenied", code(put(t.Context(), c, "key", "content")))
	})
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// tamper changes the first byte of each body.
type tamper struct{ inner s3.HTTPClient }

func (c tamper) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if len(body) > 0 {
			body[0] ^= 1
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c.inner.Do(r)
}
