package s3blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

func TestErrorsOfTheServer(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		is     error
		hint   string
	}{
		{404, "NoSuchKey", blob.ErrNotFound, ""},
		{404, "NoSuchBucket", blob.ErrNoSuchBucket, "check the bucket's name and endpoint=, or create the bucket"},
		{404, "NoSuchVersion", blob.ErrNotFound, ""},
		{404, "NoSuchUser", blob.ErrAccessDenied, "allow s3:GetObject on arn:aws:s3:::bucket/cache/*"},
		{404, "NoSuchAccessKey", blob.ErrAccessDenied, "allow s3:GetObject on arn:aws:s3:::bucket/cache/*"},
		{407, "Whatever", blob.ErrAccessDenied, "allow s3:GetObject on arn:aws:s3:::bucket/cache/*"},
		{403, "AccessDenied", blob.ErrAccessDenied, "allow s3:GetObject on arn:aws:s3:::bucket/cache/*"},
		{403, "InvalidAccessKeyId", blob.ErrAccessDenied, "the server does not know this access key: check profile=, AWS_ACCESS_KEY_ID and endpoint="},
		{403, "SignatureDoesNotMatch", blob.ErrAccessDenied, "the secret key is wrong, or a proxy changed the request"},
		{400, "ExpiredToken", blob.ErrAccessDenied, "the session has expired: sign in again (aws sso login) or renew the token"},
		{403, "RequestTimeTooSkewed", blob.ErrAccessDenied, "set this machine's clock"},
		{401, "Whatever", blob.ErrAccessDenied, "allow s3:GetObject on arn:aws:s3:::bucket/cache/*"},
		{412, "PreconditionFailed", blob.ErrPrecondition, ""},
		{409, "ConditionalRequestConflict", blob.ErrPrecondition, ""},
		{301, "PermanentRedirect", blob.ErrRegion, "add region= with the region that the bucket is in"},
		{503, "SlowDown", blob.ErrThrottled, "lower max-concurrency=, or raise retry-attempts="},
		{429, "Whatever", blob.ErrThrottled, ""},
		{400, "BadDigest", blob.ErrChecksum, ""},
		{400, "EntityTooLarge", blob.ErrTooLarge, "objects above 5 GiB need multipart-upload=true"},
		{400, "InvalidStorageClass", nil, "the server does not have this storage class: change or leave out storage-class="},
		{500, "InternalError", nil, ""},
	} {
		t.Run(test.code, func(t *testing.T) {
			server := newFake(t, fakes3.Options{})
			b := open(t, server, "/cache?retry-attempts=1", s3blob.Options{})
			server.Inject(fakes3.Fault{Status: test.status, Code: test.code})
			_, err := b.Get(t.Context(), "key", blob.GetOptions{})
			var e *blob.Error
			require.ErrorAs(t, err, &e)
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
			}
			assert.Equal(t, "Get", e.Op)
			assert.Equal(t, "s3://bucket", e.Bucket)
			assert.Equal(t, "key", e.Key)
			assert.Equal(t, server.Addr(), e.Endpoint)
			assert.Equal(t, test.status, e.Status)
			assert.Equal(t, test.code, e.Code)
			assert.Equal(t, test.hint, e.Hint)
			assert.Contains(t, err.Error(), "injected fault", "the server's own words")
			assert.NotContains(t, err.Error(), "operation error", "the SDK's preamble")
		})
	}
}

func TestErrorsAreWholeSentences(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Request-Id", "4442587FB7D0A2F9")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `<Error><Code>AccessDenied</Code><Message>`+strings.Repeat("No. ", 1000)+`</Message></Error>`)
	}))
	defer server.Close()
	b := open(t, newFake(t, fakes3.Options{}), "/cache?endpoint="+server.URL, s3blob.Options{})
	_, err := b.Get(t.Context(), "key", blob.GetOptions{})
	assert.EqualError(t, err, `Get "key" in s3://bucket: access denied: `+strings.Repeat("No. ", 128)+`… (HTTP 403, AccessDenied, endpoint `+
		strings.TrimPrefix(server.URL, "http://")+`, request 4442587FB7D0A2F9); allow s3:GetObject on arn:aws:s3:::bucket/cache/*`)
}

func TestPermissionsAreNamed(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	b := open(t, server, "/cache?retry-attempts=1"+inParts, s3blob.Options{})
	denied := fakes3.Fault{Status: 403, Code: "AccessDenied"}
	for _, test := range []struct {
		name string
		do   func(ctx context.Context) error
		hint string
	}{
		{"Put", func(ctx context.Context) error {
			_, err := b.Put(ctx, "key", bytes.NewReader(nil), blob.PutOptions{})
			return err
		}, "allow s3:PutObject on arn:aws:s3:::bucket/cache/*"},
		{"Delete", func(ctx context.Context) error { return b.Delete(ctx, "key") }, "allow s3:DeleteObject on arn:aws:s3:::bucket/cache/*"},
		{"List", func(ctx context.Context) error {
			for _, err := range b.List(ctx, blob.ListOptions{}) {
				return err
			}
			return nil
		}, "allow s3:ListBucket on arn:aws:s3:::bucket"},
		{"Uploads", func(ctx context.Context) error {
			for _, err := range b.Uploads(ctx, "") {
				return err
			}
			return nil
		}, "allow s3:ListBucketMultipartUploads on arn:aws:s3:::bucket"},
		{"AbortUpload", func(ctx context.Context) error { return b.AbortUpload(ctx, blob.Upload{Key: "key", ID: "id"}) },
			"allow s3:AbortMultipartUpload on arn:aws:s3:::bucket/cache/*"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server.Inject(denied)
			err := test.do(t.Context())
			require.ErrorIs(t, err, blob.ErrAccessDenied)
			var e *blob.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, test.hint, e.Hint)
		})
	}
}

func TestARNsAreThoseOfThePartition(t *testing.T) {
	server := newFake(t, fakes3.Options{Region: "cn-north-1"})
	b := open(t, server, "?region=cn-north-1", s3blob.Options{})
	server.Inject(fakes3.Fault{Status: 403, Code: "AccessDenied"})
	_, err := b.Get(t.Context(), "key", blob.GetOptions{})
	require.ErrorContains(t, err, "arn:aws-cn:s3:::bucket/*")
}

func TestErrorsWithoutAnAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := listener.Addr().String()
	listener.Close()
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, test := range map[string]struct{ endpoint, hint string }{
		"nobody listens":       {"http://" + nobody, "no server listens there: check endpoint="},
		"unknown authority":    {tls.URL, "the server's certificate is not signed by a known authority: set AWS_CA_BUNDLE"},
		"plain HTTP for https": {strings.Replace(plain.URL, "http:", "https:", 1), "the server speaks plain HTTP: use endpoint=http://…"},
		"name that is not one": {"http://no.such.host.invalid", "check endpoint="},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, newFake(t, fakes3.Options{}), "?retry-attempts=2&retry-delay=1&endpoint="+test.endpoint, s3blob.Options{})
			_, err := b.Head(t.Context(), "key")
			var e *blob.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, test.hint, e.Hint, err.Error())
			assert.Zero(t, e.Status)
		})
	}
}

func TestMissingBucketIsToldApart(t *testing.T) {
	server := storetest.NewS3(t, fakes3.Options{Buckets: []string{"another"}})
	b := open(t, server, "?", s3blob.Options{})
	_, err := b.Put(t.Context(), "key", bytes.NewReader(nil), blob.PutOptions{})
	require.ErrorIs(t, err, blob.ErrNoSuchBucket)
	require.NotErrorIs(t, err, blob.ErrNotFound)
}

// HEAD answers have no body and so no code: what a refusal means has to be
// asked for.
func TestRefusedSignatureOfHead(t *testing.T) {
	t.Run("a wrong key is reported as such", func(t *testing.T) {
		server := newFake(t, fakes3.Options{})
		b := open(t, server, "?", s3blob.Options{})
		server.SetCredentials(fakes3.Credentials{AccessKey: fakes3.DefaultCredentials.AccessKey, SecretKey: "another"})
		for range 2 {
			_, err := b.Head(t.Context(), "key")
			require.ErrorIs(t, err, blob.ErrAccessDenied)
			var e *blob.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "SignatureDoesNotMatch", e.Code)
		}
	})
	t.Run("a good one is not asked about twice", func(t *testing.T) {
		server := newFake(t, fakes3.Options{Unlistable: true})
		b := open(t, server, "?", s3blob.Options{})
		for range 3 {
			_, err := b.Head(t.Context(), "missing")
			require.ErrorIs(t, err, blob.ErrAccessDenied)
			var e *blob.Error
			require.True(t, errors.As(err, &e))
			assert.Equal(t, 403, e.Status)
		}
		assert.Equal(t, map[string]int{"HeadObject": 3, "GetObject": 1}, server.Counts())
	})
}

// TestNotFoundIsAboutAKey: only a 404 that an S3 server gives for a key means
// that there is no object.
func TestNotFoundIsAboutAKey(t *testing.T) {
	for name, test := range map[string]struct {
		status  int
		body    string
		missing bool
	}{
		"no such key":       {404, "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code></Error>", true},
		"no such version":   {404, "<Error><Code>NoSuchVersion</Code></Error>", true},
		"no such bucket":    {404, "<Error><Code>NoSuchBucket</Code></Error>", false},
		"no such user":      {404, "<Error><Code>NoSuchUser</Code></Error>", false},
		"another code":      {404, "<Error><Code>NoSuchWebsiteConfiguration</Code></Error>", false},
		"XML without code":  {404, "<Error></Error>", false},
		"a web page":        {404, "<html><body><h1>404 Not Found</h1></body></html>", false},
		"a broken web page": {404, "<html><br><p>404", false},
		"text":              {404, "404 page not found\n", false},
		"JSON":              {404, `{"error":"not found"}`, false},
		"nothing":           {404, "", false},
		"gone":              {410, "", false},
		"a login page":      {401, "<html></html>", false},
		"an archive":        {403, "<Error><Code>InvalidObjectState</Code></Error>", false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(test.status)
				if r.Method != http.MethodHead {
					io.WriteString(w, test.body)
				}
			}))
			defer server.Close()
			b := open(t, newFake(t, fakes3.Options{}), "?retry-attempts=1&endpoint="+server.URL, s3blob.Options{})
			_, err := b.Head(t.Context(), "key")
			require.Error(t, err)
			assert.Equal(t, test.missing, errors.Is(err, blob.ErrNotFound), "Head: %v", err)
			_, err = b.Get(t.Context(), "key", blob.GetOptions{})
			require.Error(t, err)
			assert.Equal(t, test.missing, errors.Is(err, blob.ErrNotFound), "Get: %v", err)
			if name == "an archive" {
				assert.NotErrorIs(t, err, blob.ErrAccessDenied)
				assert.ErrorContains(t, err, "restored")
			}
		})
	}
}

// TestChecksumMismatch is for the SDK that is used: its error has no type, and
// is known by its words.
func TestChecksumMismatch(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"etag"`)
		w.Header().Set("X-Amz-Checksum-Crc32", "AAAAAA==")
		io.WriteString(w, "other bytes")
	}))
	defer server.Close()
	b := open(t, newFake(t, fakes3.Options{}), "?endpoint="+server.URL, s3blob.Options{Dialect: s3blob.DialectAWS})
	_, _, err := blob.ReadAll(t.Context(), b, "key", 100)
	require.ErrorIs(t, err, blob.ErrChecksum, "the SDK has reworded its error: see isChecksumMismatch")
}

func TestListingsRise(t *testing.T) {
	page := func(token string, keys ...string) string {
		s := "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>" + token + "</NextContinuationToken>"
		for _, key := range keys {
			s += "<Contents><Key>" + key + "</Key></Contents>"
		}
		return s + "</ListBucketResult>"
	}
	for name, test := range map[string]struct {
		page func(n int) string
		err  string
	}{
		"tokens that alternate":     {func(n int) string { return page(string(rune('a'+n%2)), "key") }, "does not rise"},
		"the same key again":        {func(n int) string { return page("t", "a", "a") }, "does not rise"},
		"keys that fall":            {func(n int) string { return page("t", "b", "a") }, "does not rise"},
		"the same token":            {func(n int) string { return page("t", strings.Repeat("a", n+1)) }, "no token"},
		"pages of nothing":          {func(n int) string { return page(strings.Repeat("t", n+1)) }, "does not end"},
		"a page that never ends":    {func(n int) string { return strings.Repeat("<x>", 1<<20) }, "not answer as S3"},
		"a listing that never ends": {func(n int) string { return "<ListBucketResult>" + strings.Repeat("<Contents/>", 1<<20) }, "longer than"},
		"something that is not one": {func(n int) string { return "<html></html>" }, "not answer as S3"},
		"nothing":                   {func(n int) string { return "" }, "not answer as S3"},
		"folders that do not change": {func(n int) string {
			return strings.Replace(page(strings.Repeat("t", n+1)), "</List", "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes></List", 1)
		}, "does not end"},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := openPages(t, test.page)
			var last error
			for _, err := range b.List(t.Context(), blob.ListOptions{}) {
				last = err
			}
			require.ErrorContains(t, last, test.err)
		})
	}
}

// openPages opens a bucket whose server answers every request with the next page,
// and counts the requests.
func openPages(t *testing.T, page func(n int) string) (b *s3blob.Bucket, asked *int) {
	asked = new(int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, page(*asked))
		*asked++
	}))
	t.Cleanup(server.Close)
	return open(t, newFake(t, fakes3.Options{}), "?retry-attempts=1&endpoint="+server.URL, s3blob.Options{}), asked
}

func TestListingsOfVersionsGoOn(t *testing.T) {
	page := func(marker string, ids ...string) string {
		s := "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>key</NextKeyMarker><NextVersionIdMarker>" + marker + "</NextVersionIdMarker>"
		for _, id := range ids {
			s += "<Version><Key>key</Key><VersionId>" + id + "</VersionId></Version>"
		}
		return s + "</ListVersionsResult>"
	}
	many := func(n int) (ids []string) {
		for i := range 1000 {
			ids = append(ids, fmt.Sprint(1000*n+i))
		}
		return ids
	}
	const deleted = "<DeleteMarker><Key>key1</Key><VersionId>d</VersionId></DeleteMarker></ListVersionsResult>"
	for name, test := range map[string]struct {
		page func(n int) string
		err  string
	}{
		"markers that alternate":    {func(n int) string { return page(string(rune('a'+n%2)), "1", "2") }, "does not go on"},
		"the same marker":           {func(int) string { return page("a") }, "does not go on"},
		"pages of nothing":          {func(n int) string { return page(fmt.Sprint(n)) }, "does not go on"},
		"versions without end":      {func(n int) string { return page(fmt.Sprint(n), many(n)...) }, "more than 100000 versions"},
		"a page that never ends":    {func(int) string { return "<ListVersionsResult>" + strings.Repeat("<Version/>", 1<<20) }, "longer than"},
		"something that is not one": {func(int) string { return "<html></html>" }, "not answer as S3"},
		"deleted longer keys": {func(n int) string {
			return strings.Replace(page(fmt.Sprint(n), "1"), "</ListVersionsResult>", deleted, 1)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b, asked := openPages(t, test.page)
			versioned, err := b.Versioned(t.Context(), "key")
			if test.err == "" {
				require.NoError(t, err)
				assert.True(t, versioned)
				assert.Equal(t, 1, *asked)
				return
			}
			require.ErrorContains(t, err, test.err)
		})
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	u, err := s3url.Parse("s3://bucket?retry-attempts=1&anonymous=true")
	require.NoError(t, err)
	for _, endpoint := range []string{"http://me:hunter2@127.0.0.1:1", "http://127.0.0.1:1?sig=hunter2", "http://me:hun%ter2@127.0.0.1:1", "http://me:hunter2@[x/"} {
		t.Setenv("AWS_ENDPOINT_URL_S3", endpoint)
		_, err = s3blob.Open(t.Context(), u, s3blob.Options{})
		require.ErrorContains(t, err, "without a login")
		assert.NotContains(t, err.Error(), "hunter2")
	}
	b := s3blob.New(s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String("http://me:hunter2@127.0.0.1:1"), RetryMaxAttempts: 1}), "bucket", "", s3blob.Options{})
	_, err = b.Head(t.Context(), "key")
	require.Error(t, err)
	assert.NotContains(t, err.Error()+b.String(), "hunter2")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		assert.NotContains(t, fmt.Sprintf(verb, b), "hunter2")
	}
}
