package fakes3_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

// multipart is an upload in parts, step by step.
type multipart struct {
	ctx  context.Context
	c    *s3.Client
	key  string
	id   *string
	done []types.CompletedPart
}

func newMultipart(t *testing.T, c *s3.Client, key string) *multipart {
	out, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key, ContentType: aws.String("text/plain")})
	require.NoError(t, err)
	return &multipart{ctx: t.Context(), c: c, key: key, id: out.UploadId}
}

func (m *multipart) part(number int32, body string) error {
	out, err := m.c.UploadPart(m.ctx, &s3.UploadPartInput{
		Bucket: aws.String(bucket), Key: &m.key, UploadId: m.id, PartNumber: &number, Body: strings.NewReader(body),
	})
	if err == nil {
		m.done = append(m.done, types.CompletedPart{PartNumber: &number, ETag: out.ETag})
	}
	return err
}

func (m *multipart) complete(change ...func(*s3.CompleteMultipartUploadInput)) (*s3.CompleteMultipartUploadOutput, error) {
	in := &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &m.key, UploadId: m.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: m.done},
	}
	for _, c := range change {
		c(in)
	}
	return m.c.CompleteMultipartUpload(m.ctx, in)
}

func TestMultipart(t *testing.T) {
	server, c := start(t, fakes3.Options{MinPartSize: 10})
	m := newMultipart(t, c, "dir/a +b")
	for i, body := range []string{"0123456789", "abcdefghijkl", "xyz"} {
		require.NoError(t, m.part(int32(i*5+1), body))
	}
	assert.Equal(t, []string{"dir/a +b"}, server.Uploads(bucket))
	assert.Empty(t, server.Keys(bucket))
	out, err := m.complete()
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(*out.ETag, `-3"`), *out.ETag)

	o, ok := server.Object(bucket, "dir/a +b")
	require.True(t, ok)
	assert.Equal(t, "0123456789abcdefghijklxyz", string(o.Body))
	assert.Equal(t, "text/plain", o.Header.Get("Content-Type"))
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("dir/a +b")})
	require.NoError(t, err)
	assert.Equal(t, *out.ETag, *head.ETag)
	assert.Empty(t, server.Uploads(bucket))
	_, err = m.complete()
	assert.Equal(t, "NoSuchUpload", code(err), "only once")
}

func TestMultipartRules(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, m *multipart) error
		want string
	}{
		{"small part", func(t *testing.T, m *multipart) error {
			require.NoError(t, m.part(1, "x"))
			require.NoError(t, m.part(2, "y"))
			_, err := m.complete()
			return err
		}, "EntityTooSmall"},
		{"order", func(t *testing.T, m *multipart) error {
			require.NoError(t, m.part(2, "0123456789"))
			require.NoError(t, m.part(1, "0123456789"))
			_, err := m.complete()
			return err
		}, "InvalidPartOrder"},
		{"part that is not there", func(t *testing.T, m *multipart) error {
			require.NoError(t, m.part(1, "0123456789"))
			m.done[0].PartNumber = aws.Int32(3)
			_, err := m.complete()
			return err
		}, "InvalidPart"},
		{"another ETag", func(t *testing.T, m *multipart) error {
			require.NoError(t, m.part(1, "0123456789"))
			m.done[0].ETag = aws.String("other")
			_, err := m.complete()
			return err
		}, "InvalidPart"},
		{"no parts", func(t *testing.T, m *multipart) error {
			_, err := m.complete()
			return err
		}, "MalformedXML"},
		{"part number", func(t *testing.T, m *multipart) error { return m.part(10001, "x") }, "InvalidPart"},
		{"another upload", func(t *testing.T, m *multipart) error {
			m.id = aws.String("other")
			return m.part(1, "x")
		}, "NoSuchUpload"},
		{"key exists", func(t *testing.T, m *multipart) error {
			require.NoError(t, put(m.ctx, m.c, m.key, "first"))
			require.NoError(t, m.part(1, "second"))
			_, err := m.complete(func(in *s3.CompleteMultipartUploadInput) { in.IfNoneMatch = aws.String("*") })
			return err
		}, "PreconditionFailed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, c := start(t, fakes3.Options{MinPartSize: 10})
			m := newMultipart(t, c, "key")
			assert.Equal(t, tt.want, code(tt.do(t, m)))
			assert.Equal(t, []string{"key"}, server.Uploads(bucket), "the upload is still open")
			_, err := c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("key"), UploadId: aws.String("upload+000001/=")})
			require.NoError(t, err)
			assert.Empty(t, server.Uploads(bucket))
		})
	}
}

func TestCompleteFailsIn200(t *testing.T) {
	server, c := start(t, fakes3.Options{})
	m := newMultipart(t, c, "key")
	require.NoError(t, m.part(1, "x"))
	server.Inject(fakes3.Fault{Op: "CompleteMultipartUpload", Kind: "fail-in-200", Code: "InternalError"})
	_, err := m.complete()
	assert.Equal(t, "InternalError", code(err))
	log := server.Requests()
	assert.Equal(t, 200, log[len(log)-1].Status)
	assert.Equal(t, "InternalError", log[len(log)-1].Code)
	assert.Empty(t, server.Keys(bucket))
	_, err = m.complete()
	require.NoError(t, err)
}

func TestListUploadsAndParts(t *testing.T) {
	_, c := start(t, fakes3.Options{PageSize: 2})
	var want []string
	for i := range 5 {
		m := newMultipart(t, c, fmt.Sprintf("key%d", i/2))
		want = append(want, fmt.Sprintf("key%d %s", i/2, *m.id))
		for n := range int32(3) {
			require.NoError(t, m.part(n+1, "x"))
		}
		parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(bucket), Key: &m.key, UploadId: m.id, MaxParts: aws.Int32(2)})
		require.NoError(t, err)
		assert.Len(t, parts.Parts, 2)
		assert.True(t, *parts.IsTruncated)
	}
	var got []string
	pages := 0
	for p := s3.NewListMultipartUploadsPaginator(c, &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)}); p.HasMorePages(); pages++ {
		page, err := p.NextPage(t.Context())
		require.NoError(t, err)
		for _, u := range page.Uploads {
			got = append(got, *u.Key+" "+*u.UploadId)
		}
	}
	assert.Equal(t, want, got)
	assert.Equal(t, 3, pages)
}

func TestCopies(t *testing.T) {
	server, c := start(t, fakes3.Options{MinPartSize: 3})
	require.NoError(t, server.PutObject(bucket, "from +%", []byte("0123456789"), map[string][]string{"Content-Type": {"text/plain"}}))
	source := aws.String(bucket + "/from%20%2B%25")

	out, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("to"), CopySource: source})
	require.NoError(t, err)
	o, _ := server.Object(bucket, "to")
	assert.Equal(t, "0123456789", string(o.Body))
	assert.Equal(t, "text/plain", o.Header.Get("Content-Type"))
	assert.Equal(t, o.ETag, *out.CopyObjectResult.ETag)

	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("to"), CopySource: source,
		MetadataDirective: types.MetadataDirectiveReplace, ContentType: aws.String("text/html"),
	})
	require.NoError(t, err)
	o, _ = server.Object(bucket, "to")
	assert.Equal(t, "text/html", o.Header.Get("Content-Type"))

	for name, in := range map[string]*s3.CopyObjectInput{
		"NoSuchKey":          {CopySource: aws.String(bucket + "/absent")},
		"NoSuchBucket":       {CopySource: aws.String("absent/key")},
		"InvalidArgument":    {CopySource: aws.String("nothing")},
		"PreconditionFailed": {CopySource: source, CopySourceIfMatch: aws.String("other")},
	} {
		in.Bucket, in.Key = aws.String(bucket), aws.String("bad")
		_, err = c.CopyObject(t.Context(), in)
		assert.Equal(t, name, code(err))
	}

	m := newMultipart(t, c, "parts")
	for i, rng := range []string{"bytes=0-4", "bytes=5-9"} {
		number := int32(i + 1)
		part, err := c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
			Bucket: aws.String(bucket), Key: aws.String("parts"), UploadId: m.id, PartNumber: &number, CopySource: source, CopySourceRange: &rng,
		})
		require.NoError(t, err)
		m.done = append(m.done, types.CompletedPart{PartNumber: &number, ETag: part.CopyPartResult.ETag})
	}
	_, err = c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
		Bucket: aws.String(bucket), Key: aws.String("parts"), UploadId: m.id, PartNumber: aws.Int32(3), CopySource: source, CopySourceRange: aws.String("bytes=5-10"),
	})
	assert.Equal(t, "InvalidArgument", code(err))
	_, err = m.complete()
	require.NoError(t, err)
	o, _ = server.Object(bucket, "parts")
	assert.Equal(t, "0123456789", string(o.Body))
}
