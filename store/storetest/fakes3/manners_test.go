package fakes3_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

const wrongETag = `"00000000000000000000000000000000"`

// conditionalWrites are the writes that take a condition, each with one that
// does not hold for the object "key". done reports whether it was ignored.
var conditionalWrites = []struct {
	name string
	do   func(t *testing.T, c *s3.Client) error
}{
	{"PUT", func(t *testing.T, c *s3.Client) error {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
		return err
	}},
	{"PUT If-Match", func(t *testing.T, c *s3.Client) error {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), Body: strings.NewReader("x"), IfMatch: aws.String(wrongETag)})
		return err
	}},
	{"DELETE", func(t *testing.T, c *s3.Client) error {
		_, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), IfMatch: aws.String(wrongETag)})
		return err
	}},
	{"DeleteObjects", func(t *testing.T, c *s3.Client) error {
		out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{
			Objects: []types.ObjectIdentifier{{Key: aws.String("key"), ETag: aws.String(wrongETag)}},
		}})
		if err == nil && len(out.Errors) > 0 {
			err = fmt.Errorf("%s", *out.Errors[0].Code)
		}
		return err
	}},
	{"CopyObject", func(t *testing.T, c *s3.Client) error {
		_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{
			Bucket: aws.String(bucket), Key: aws.String("key"), CopySource: aws.String(bucket + "/other"), IfNoneMatch: aws.String("*"),
		})
		return err
	}},
	{"Complete", func(t *testing.T, c *s3.Client) error {
		m := newMultipart(t, c, "key")
		require.NoError(t, m.part(1, "x"))
		_, err := m.complete(func(in *s3.CompleteMultipartUploadInput) { in.IfNoneMatch = aws.String("*") })
		return err
	}},
}

// plainClient sends no checksums, which some servers refuse.
func plainClient(o *s3.Options) {
	o.UsePathStyle = true
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}

func TestMannersOfConditions(t *testing.T) {
	for _, tt := range []struct {
		name    string
		opts    fakes3.Options
		ignored string // names of writes
	}{
		{"AWS", fakes3.Options{}, ""},
		{"MinIO", fakes3.MinIO(), "DELETE DeleteObjects CopyObject"},
		{"versitygw", fakes3.VersityGW(), "DeleteObjects CopyObject"},
		{"Ceph", fakes3.RadosGW(), "Complete"},
		{"one that ignores all", fakes3.Options{Conditions: fakes3.IgnoreConditions}, "PUT PUT If-Match DELETE DeleteObjects CopyObject Complete"},
	} {
		for _, write := range conditionalWrites {
			t.Run(tt.name+" "+write.name, func(t *testing.T) {
				server, c := start(t, tt.opts, plainClient)
				require.NoError(t, server.PutObject(bucket, "key", []byte("mine"), nil))
				require.NoError(t, server.PutObject(bucket, "other", []byte("other"), nil))
				err := write.do(t, c)
				ignored := strings.Contains(tt.ignored, write.name)
				if ignored {
					require.NoError(t, err, "answers as if the condition held")
				} else {
					require.ErrorContains(t, err, "PreconditionFailed")
				}
				o, _ := server.Object(bucket, "key")
				assert.Equal(t, !ignored, string(o.Body) == "mine")
			})
		}
	}
	for _, write := range conditionalWrites {
		t.Run("one that has none "+write.name, func(t *testing.T) {
			server, c := start(t, fakes3.Options{Conditions: fakes3.RefuseConditions})
			require.NoError(t, server.PutObject(bucket, "key", []byte("mine"), nil))
			require.NoError(t, server.PutObject(bucket, "other", []byte("other"), nil))
			require.ErrorContains(t, write.do(t, c), "NotImplemented")
		})
	}
}

// TestConditionsThatHold: what is strict about false conditions lets true ones
// pass.
func TestConditionsThatHold(t *testing.T) {
	server, c := start(t, fakes3.Options{})
	etag := func() *string {
		require.NoError(t, server.PutObject(bucket, "key", []byte("mine"), nil))
		o, _ := server.Object(bucket, "key")
		return &o.ETag
	}
	_, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), IfMatch: etag()})
	require.NoError(t, err)
	assert.Empty(t, server.Keys(bucket))
	out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: aws.String("key"), ETag: etag()}, {Key: aws.String("absent")}},
	}})
	require.NoError(t, err)
	assert.Empty(t, out.Errors)
	assert.Len(t, out.Deleted, 2)
	assert.Empty(t, server.Keys(bucket))

	server, c = start(t, fakes3.RadosGW(), plainClient)
	quoted := *etag()
	for match, want := range map[string]string{quoted: "PreconditionFailed", strings.Trim(quoted, `"`): ""} {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), Body: strings.NewReader("mine"), IfMatch: &match})
		assert.Equal(t, want, code(err), match)
	}
}

// TestChecksumIsKept: a SHA-256 that was sent comes back with HEAD, where it is
// asked for and the server keeps it.
func TestChecksumIsKept(t *testing.T) {
	digest := sha256.Sum256([]byte("text"))
	sum := base64.StdEncoding.EncodeToString(digest[:])
	for name, tt := range map[string]struct {
		opts fakes3.Options
		want *string
	}{"kept": {fakes3.Options{}, &sum}, "ignored": {fakes3.Options{IgnoreChecksums: true}, nil}} {
		t.Run(name, func(t *testing.T) {
			_, c := start(t, tt.opts)
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: aws.String(bucket), Key: aws.String("key"), Body: strings.NewReader("text"), ChecksumSHA256: &sum,
			})
			require.NoError(t, err)
			head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), ChecksumMode: types.ChecksumModeEnabled})
			require.NoError(t, err)
			assert.Equal(t, tt.want, head.ChecksumSHA256)
			head, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")})
			require.NoError(t, err)
			assert.Nil(t, head.ChecksumSHA256, "only where it is asked for")

			wrong := strings.Repeat("A", 43) + "="
			_, err = c.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: aws.String(bucket), Key: aws.String("key"), Body: strings.NewReader("text"), ChecksumSHA256: &wrong,
			})
			assert.Equal(t, tt.want != nil, err != nil, "%v", err)
		})
	}
}

// TestMD5OfUploadInParts: Nix puts the Content-MD5 of the whole object on the
// empty request that begins an upload in parts.
func TestMD5OfUploadInParts(t *testing.T) {
	server, _ := start(t, fakes3.Options{Anonymous: fakes3.FullAccess})
	sum := md5.Sum([]byte("the whole object"))
	header := map[string]string{"Content-MD5": base64.StdEncoding.EncodeToString(sum[:])}
	url := server.Endpoint() + "/" + bucket + "/key"
	w := serve(server, "POST", url+"?uploads", "", header)
	assert.Equal(t, 200, w.Code, w.Body.String())
	assert.Equal(t, []string{"key"}, server.Uploads(bucket))
	w = serve(server, "PUT", url, "something else", header)
	assert.Equal(t, 400, w.Code, "it is verified elsewhere")
}

func TestOtherManners(t *testing.T) {
	t.Run("a copy onto itself", func(t *testing.T) {
		for name, opts := range map[string]fakes3.Options{"refreshes": {}, "changes nothing": fakes3.VersityGW()} {
			now := time.Unix(1000, 0)
			opts.Now, opts.Anonymous = func() time.Time { return now }, fakes3.FullAccess
			server, _ := start(t, opts)
			require.NoError(t, server.PutObject(bucket, "a +b", []byte("x"), nil))
			now = time.Unix(2000, 0)
			url := server.Endpoint() + "/" + bucket + "/a%20+b"
			w := serve(server, "PUT", url, "", map[string]string{"X-Amz-Copy-Source": bucket + "/a%20+b"})
			require.Equal(t, 200, w.Code, w.Body.String())
			modified := serve(server, "HEAD", url, "", nil).Header().Get("Last-Modified")
			assert.Equal(t, name == "refreshes", strings.Contains(modified, "00:33:20"), "%s: %s", name, modified)
		}
	})
	t.Run("uploads by their key", func(t *testing.T) {
		for prefix, want := range map[string]int{"nar/": 0, "nar/a": 1} {
			_, c := start(t, fakes3.MinIO())
			newMultipart(t, c, "nar/a")
			newMultipart(t, c, "nar/ab")
			out, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket), Prefix: &prefix})
			require.NoError(t, err)
			assert.Len(t, out.Uploads, want, prefix)
		}
	})
	t.Run("no overwriting", func(t *testing.T) {
		for _, status := range []int{403, 405, 409, 412} {
			server, _ := start(t, fakes3.Options{Anonymous: fakes3.FullAccess, NoOverwrite: status})
			url := server.Endpoint() + "/" + bucket + "/key"
			assert.Equal(t, 200, serve(server, "PUT", url, "mine", nil).Code)
			assert.Equal(t, status, serve(server, "PUT", url, "theirs", nil).Code)
			assert.Equal(t, status, serve(server, "PUT", url, "", map[string]string{"X-Amz-Copy-Source": bucket + "/key"}).Code)
			o, _ := server.Object(bucket, "key")
			assert.Equal(t, "mine", string(o.Body))
		}
	})
	t.Run("a short log", func(t *testing.T) {
		server, _ := start(t, fakes3.Options{Anonymous: fakes3.FullAccess, LogLimit: 3})
		for i := range 10 {
			serve(server, "PUT", fmt.Sprintf("%s/%s/%d", server.Endpoint(), bucket, i), "x", nil)
		}
		log := server.Requests()
		require.Len(t, log, 3)
		assert.Equal(t, 9, log[2].Index)
		assert.Equal(t, 10, server.Count("PutObject"))
		server.ResetLog()
		assert.Zero(t, server.Count())
	})
}
