package fakes3_test

import (
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

// TestVersions takes an object of a versioned bucket through its life.
func TestVersions(t *testing.T) {
	server, c := start(t, fakes3.Options{Versioned: true})
	ctx, name, key := t.Context(), aws.String(bucket), aws.String("dir/key")
	write := func(text string) *string {
		out, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: name, Key: key, Body: strings.NewReader(text)})
		require.NoError(t, err)
		require.NotEmpty(t, out.VersionId)
		return out.VersionId
	}
	read := func(version *string) string {
		out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: name, Key: key, VersionId: version})
		if err != nil {
			return code(err)
		}
		data, err := io.ReadAll(out.Body)
		require.NoError(t, err)
		head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: name, Key: key, VersionId: version})
		require.NoError(t, err)
		require.Equal(t, *out.VersionId, *head.VersionId)
		return string(data)
	}
	first, second := write("first"), write("second")
	assert.Equal(t, "second", read(nil))
	assert.Equal(t, "first", read(first))
	assert.Equal(t, "NoSuchVersion", read(aws.String("absent")))

	marker, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: key})
	require.NoError(t, err)
	assert.True(t, *marker.DeleteMarker)
	assert.Equal(t, "NoSuchKey", read(nil))
	assert.Equal(t, "second", read(second), "a delete without a version keeps all")
	assert.Equal(t, "MethodNotAllowed", read(marker.VersionId))
	assert.Empty(t, server.Keys(bucket))

	list, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: name, Prefix: aws.String("dir/")})
	require.NoError(t, err)
	assert.Len(t, list.Versions, 2)
	require.Len(t, list.DeleteMarkers, 1)
	assert.True(t, *list.DeleteMarkers[0].IsLatest)

	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: key, VersionId: marker.VersionId})
	require.NoError(t, err)
	assert.Equal(t, "second", read(nil), "without the marker the object is back")
	out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: name, Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: key, VersionId: second}, {Key: key, VersionId: aws.String("absent")}},
	}})
	require.NoError(t, err)
	assert.Empty(t, out.Errors)
	assert.Equal(t, "first", read(nil), "the version before is the current one")
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: key, VersionId: first})
	require.NoError(t, err)
	assert.Equal(t, "NoSuchKey", read(nil))
	list, err = c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: name})
	require.NoError(t, err)
	assert.Empty(t, list.Versions)
	assert.Empty(t, list.DeleteMarkers)

	status, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: name})
	require.NoError(t, err)
	assert.Equal(t, types.BucketVersioningStatusEnabled, status.Status)
}

// TestVersionsOfOtherWrites: copies and uploads in parts make versions too, and
// a version can be copied back.
func TestVersionsOfOtherWrites(t *testing.T) {
	server, c := start(t, fakes3.Options{Versioned: true})
	m := newMultipart(t, c, "key")
	require.NoError(t, m.part(1, "in parts"))
	stored, err := m.complete()
	require.NoError(t, err)
	require.NotEmpty(t, stored.VersionId)
	require.NoError(t, server.PutObject(bucket, "key", []byte("over it"), nil))
	copied, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("key"), CopySource: aws.String(bucket + "/key?versionId=" + *stored.VersionId),
	})
	require.NoError(t, err)
	assert.NotEqual(t, *stored.VersionId, *copied.VersionId)
	o, _ := server.Object(bucket, "key")
	assert.Equal(t, "in parts", string(o.Body))
}

// TestVersionsOfPlainBucket: a bucket that keeps none has the version "null".
func TestVersionsOfPlainBucket(t *testing.T) {
	server, c := start(t, fakes3.Options{})
	require.NoError(t, server.PutObject(bucket, "key", []byte("x"), nil))
	list, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: aws.String(bucket)})
	require.NoError(t, err)
	require.Len(t, list.Versions, 1)
	assert.Equal(t, "null", *list.Versions[0].VersionId)
	for _, tt := range []struct {
		version string
		left    int
	}{{"other", 1}, {"null", 0}} {
		_, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), VersionId: &tt.version})
		require.NoError(t, err)
		assert.Len(t, server.Keys(bucket), tt.left, tt.version)
	}
}
