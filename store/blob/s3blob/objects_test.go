package s3blob_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/storetest/fakes3"
)

func keysOf(t *testing.T, b blob.Bucket) []string {
	t.Helper()
	var keys []string
	for attrs, err := range b.List(t.Context(), blob.ListOptions{}) {
		require.NoError(t, err)
		keys = append(keys, attrs.Key)
	}
	return keys
}

func TestPrefixIsBeforeEveryKey(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	whole := open(t, server, "?", s3blob.Options{})
	below := open(t, server, "/a/b?", s3blob.Options{})
	put(t, whole, "a/bc", nil, blob.PutOptions{})
	put(t, below, "key", []byte("x"), blob.PutOptions{})
	put(t, below, "gone", nil, blob.PutOptions{})
	require.NoError(t, below.Delete(t.Context(), "gone", "never was"))
	assert.Equal(t, []string{"a/b/key", "a/bc"}, keysOf(t, whole))
	assert.Equal(t, []string{"key"}, keysOf(t, below))
	assert.Equal(t, "s3://bucket/a/b?endpoint="+server.Endpoint(), below.String())
}

func TestListShallowCostsOneRequest(t *testing.T) {
	server := newFake(t, fakes3.Options{PageSize: 5})
	b := open(t, server, "/cache?", s3blob.Options{})
	for i := range 20 {
		put(t, b, fmt.Sprintf("nar/%d", i), nil, blob.PutOptions{})
	}
	put(t, b, "z.narinfo", nil, blob.PutOptions{})
	server.ResetLog()
	var keys []string
	for attrs, err := range b.List(t.Context(), blob.ListOptions{Shallow: true}) {
		require.NoError(t, err)
		keys = append(keys, attrs.Key)
	}
	assert.Equal(t, []string{"z.narinfo"}, keys)
	assert.Equal(t, map[string]int{"ListObjectsV2": 1}, server.Counts())
}

func TestDelete(t *testing.T) {
	keys := make([]string, 2500)
	for i := range keys {
		keys[i] = fmt.Sprintf("key %d", i)
	}
	t.Run("in batches", func(t *testing.T) {
		server := newFake(t, fakes3.Options{})
		b := open(t, server, "?", s3blob.Options{})
		require.NoError(t, b.Delete(t.Context(), keys...))
		assert.Equal(t, map[string]int{"DeleteObjects": 3}, server.Counts())
		for _, r := range server.Requests() {
			assert.NotEmpty(t, r.Header.Get("Content-Md5"))
			assert.Empty(t, r.Header.Get("X-Amz-Checksum-Crc32"))
		}
	})
	t.Run("in batches, AWS's dialect", func(t *testing.T) {
		server := newFake(t, fakes3.Options{})
		b := open(t, server, "?", s3blob.Options{Dialect: s3blob.DialectAWS})
		require.NoError(t, b.Delete(t.Context(), keys...))
		assert.Equal(t, map[string]int{"DeleteObjects": 3}, server.Counts())
	})
	t.Run("one by one where there are no batches", func(t *testing.T) {
		for _, fault := range []fakes3.Fault{
			{Status: 501, Code: "NotImplemented"},
			{Status: 405, Code: "MethodNotAllowed"},
			{Status: 400, Code: "InvalidArgument"},
		} {
			server := newFake(t, fakes3.Options{})
			b := open(t, server, "?", s3blob.Options{Retry: blob.Retry{Attempts: 1}})
			fault.Op, fault.Kind, fault.Times = "DeleteObjects", "", -1
			server.Inject(fault)
			require.NoError(t, b.Delete(t.Context(), keys[:20]...))
			require.NoError(t, b.Delete(t.Context(), keys[20:40]...))
			assert.Equal(t, map[string]int{"DeleteObjects": 1, "DeleteObject": 40}, server.Counts(), fault.Code)
		}
	})
	t.Run("a key that XML cannot hold goes alone", func(t *testing.T) {
		server := newFake(t, fakes3.Options{})
		b := open(t, server, "?", s3blob.Options{})
		require.NoError(t, b.Delete(t.Context(), "a\x01", "b", "c"))
		assert.Equal(t, map[string]int{"DeleteObjects": 1, "DeleteObject": 1}, server.Counts())
	})
	t.Run("every failure is reported", func(t *testing.T) {
		server := newFake(t, fakes3.Options{})
		b := open(t, server, "?", s3blob.Options{})
		server.Inject(fakes3.Fault{Op: "DeleteObjects", Status: 403, Code: "AccessDenied"})
		err := b.Delete(t.Context(), "a", "b", "")
		require.ErrorIs(t, err, blob.ErrAccessDenied)
		for _, key := range []string{`"a"`, `"b"`, "the key is empty"} {
			assert.ErrorContains(t, err, key)
		}
	})
}

func TestCopyFrom(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	src := open(t, server, "/from?", s3blob.Options{})
	dst := open(t, server, "/to?", s3blob.Options{})
	const key = "a+b %/c=d?é"
	put(t, src, key, big, blob.PutOptions{ContentType: "text/plain", ContentEncoding: "br"})
	server.ResetLog()

	attrs, err := dst.CopyFrom(t.Context(), "copy", src, key, blob.PutOptions{})
	require.NoError(t, err)
	assert.Equal(t, "copy", attrs.Key)
	assert.Equal(t, 1, server.Count("CopyObject"))
	assert.Zero(t, server.Count("GetObject", "PutObject"))
	requireObject(t, dst, "copy", big)
	head, err := dst.Head(t.Context(), "copy")
	require.NoError(t, err)
	assert.Equal(t, "text/plain", head.ContentType)
	assert.Equal(t, attrs.ETag, head.ETag)

	_, err = dst.CopyFrom(t.Context(), "copy", src, key, blob.PutOptions{IfNoneMatch: true})
	require.ErrorIs(t, err, blob.ErrPrecondition)
	_, err = dst.CopyFrom(t.Context(), "copy", src, key, blob.PutOptions{IfMatch: head.ETag, ContentType: "application/json"})
	require.NoError(t, err)
	head, err = dst.Head(t.Context(), "copy")
	require.NoError(t, err)
	assert.Equal(t, "application/json", head.ContentType)

	_, err = dst.CopyFrom(t.Context(), "copy", src, "missing", blob.PutOptions{})
	require.ErrorIs(t, err, blob.ErrNotFound)
	_, err = dst.CopyFrom(t.Context(), "copy", memblob.New(), key, blob.PutOptions{})
	require.ErrorContains(t, err, "unsupported operation")
}

func TestPresign(t *testing.T) {
	for _, o := range []fakes3.Options{{}, {TLS: true, ProxyAcceptEncoding: "gzip(gfe)", NoChecksums: true}} {
		server := newFake(t, o)
		b := open(t, server, "/cache?", s3blob.Options{})
		client := server.Client()
		t.Cleanup(client.CloseIdleConnections)

		address, err := b.PresignPut(t.Context(), "a+b c", time.Minute)
		require.NoError(t, err)
		assert.NotContains(t, address, "x-amz-checksum")
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address, strings.NewReader("hello"))
		require.NoError(t, err)
		response, err := client.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, 200, response.StatusCode)
		requireObject(t, b, "a+b c", []byte("hello"))

		address, err = b.PresignGet(t.Context(), "a+b c", time.Minute)
		require.NoError(t, err)
		response, err = client.Get(address)
		require.NoError(t, err)
		got, err := io.ReadAll(response.Body)
		response.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, "hello", string(got))

		for _, expires := range []time.Duration{0, time.Millisecond, 8 * 24 * time.Hour} {
			_, err = b.PresignGet(t.Context(), "key", expires)
			require.ErrorContains(t, err, "expected expiry after 1s to 168h0m0s")
		}
	}
}

func TestUploads(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	b := open(t, server, "/cache?", s3blob.Options{})
	begin := func(key string) {
		// The answer to an upload is lost, and so is each try to find it.
		server.Inject(
			fakes3.Fault{Op: "CreateMultipartUpload", Kind: "lose-response", Times: -1},
			fakes3.Fault{Op: "ListMultipartUploads", Status: 403, Code: "AccessDenied", Times: -1})
		other := open(t, server, "/cache?retry-attempts=1"+inParts, s3blob.Options{})
		_, err := other.Put(t.Context(), key, bytes.NewReader(big), blob.PutOptions{})
		require.Error(t, err)
		server.ClearFaults()
	}
	before := time.Now().Add(-time.Minute)
	for _, key := range []string{"b", "a+ b", "a"} {
		begin(key)
	}
	var keys []string
	for up, err := range b.Uploads(t.Context(), "") {
		require.NoError(t, err)
		keys = append(keys, up.Key)
		assert.True(t, up.Initiated.After(before), "initiated %v", up.Initiated)
		require.NoError(t, b.AbortUpload(t.Context(), up))
		require.NoError(t, b.AbortUpload(t.Context(), up), "gone already")
	}
	assert.Equal(t, []string{"a", "a+ b", "b"}, keys)
	requireNoUploads(t, b)
}

func TestKeysAreChecked(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	b := open(t, server, "/p?", s3blob.Options{})
	for name, key := range map[string]string{
		"empty": "", "NUL": "a\x00", "not UTF-8": "\xff", "too long with the prefix": strings.Repeat("k", 1023),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			_, err := b.Head(ctx, key)
			assert.ErrorContains(t, err, "the key")
			_, err = b.Get(ctx, key, blob.GetOptions{})
			assert.ErrorContains(t, err, "the key")
			_, err = b.Put(ctx, key, bytes.NewReader(nil), blob.PutOptions{})
			assert.ErrorContains(t, err, "the key")
			assert.ErrorContains(t, b.Delete(ctx, key), "the key")
			_, err = b.PresignGet(ctx, key, time.Minute)
			assert.ErrorContains(t, err, "the key")
			_, err = b.CopyFrom(ctx, key, b, "source", blob.PutOptions{})
			assert.ErrorContains(t, err, "the key")
			assert.ErrorContains(t, b.AbortUpload(ctx, blob.Upload{Key: key}), "the key")
		})
	}
	assert.Zero(t, server.Count())
}
