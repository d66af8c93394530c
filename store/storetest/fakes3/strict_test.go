package fakes3_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts fakes3.Options
		want string
	}{
		{"checksums", fakes3.Options{NoChecksums: true}, "InvalidArgument"},
		{"chunks", fakes3.Options{NoChunked: true, TLS: true}, "NotImplemented"},
		{"path style", fakes3.Options{NoPathStyle: true}, "SecondLevelDomainForbidden"},
		{"bucket", fakes3.Options{Buckets: []string{"another"}}, "NoSuchBucket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, c := start(t, tt.opts)
			assert.Equal(t, tt.want, code(put(t.Context(), c, "key", "content")))
			assert.Empty(t, server.Keys(bucket))
		})
	}
}

// The checksums of "123456789" are those of the catalogues of CRCs.
func TestDigests(t *testing.T) {
	server, _ := start(t, fakes3.Options{Anonymous: fakes3.FullAccess})
	for _, tt := range []struct {
		header, value string
		want          int
	}{
		{"Content-MD5", "JfnnlDI7RTiF9RgfG2JNCw==", 200},
		{"Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==", 400},
		{"Content-MD5", "CY9r", 400},
		{"x-amz-checksum-crc32", "y/Q5Jg==", 200},
		{"x-amz-checksum-crc32", "AAAAAA==", 400},
		{"x-amz-checksum-crc32c", "4waSgw==", 200},
		{"x-amz-checksum-crc32c", "y/Q5Jg==", 400},
		{"x-amz-checksum-crc64nvme", "rosUhgp5mIg=", 200},
		{"x-amz-checksum-crc64nvme", "AAAAAAAAAAA=", 400},
		{"x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE=", 200},
		{"x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", 200},
		{"x-amz-checksum-sha256", "not base64", 400},
		{"x-amz-content-sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225", 200},
		{"x-amz-content-sha256", "UNSIGNED-PAYLOAD", 200},
		{"x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 400},
		{"Content-Encoding", "aws-chunked", 400},
	} {
		w := serve(server, "PUT", server.Endpoint()+"/"+bucket+"/key", "123456789", map[string]string{tt.header: tt.value})
		assert.Equal(t, tt.want, w.Code, "%s: %s\n%s", tt.header, tt.value, w.Body)
		_, stored := server.Object(bucket, "key")
		assert.Equal(t, tt.want == 200, stored)
		require.NoError(t, server.DeleteObject(bucket, "key"))
	}
}

func TestChecksumsComeOnlyWhenAskedFor(t *testing.T) {
	server, _ := start(t, fakes3.Options{Anonymous: fakes3.FullAccess})
	url := server.Endpoint() + "/" + bucket + "/key"
	require.Equal(t, 200, serve(server, "PUT", url, "test", map[string]string{"X-Amz-Checksum-Crc32": "2H9+DA=="}).Code)
	const name = "X-Amz-Checksum-Crc32"
	asked := map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}
	assert.Empty(t, serve(server, "GET", url, "", nil).Header().Get(name))
	assert.Equal(t, "2H9+DA==", serve(server, "GET", url, "", asked).Header().Get(name))
	asked["Range"] = "bytes=0-1"
	assert.Empty(t, serve(server, "GET", url, "", asked).Header().Get(name), "of a part")
}

func TestUnlistable(t *testing.T) {
	server, c := start(t, fakes3.Options{Unlistable: true})
	require.NoError(t, server.PutObject(bucket, "there", []byte("x"), nil))
	_, err := get(t.Context(), c, "there")
	require.NoError(t, err)
	_, err = get(t.Context(), c, "absent")
	assert.Equal(t, "AccessDenied", code(err))
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("absent")})
	assert.Equal(t, http.StatusForbidden, status(err))
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	assert.Equal(t, "AccessDenied", code(err))
	require.NoError(t, put(t.Context(), c, "new", "x"), "writing is allowed")
}

func TestConditions(t *testing.T) {
	const other = `"00000000000000000000000000000000"`
	for _, tt := range []struct {
		name       string
		conditions fakes3.Conditions
		header     map[string]string
		exists     bool
		want       int
	}{
		{"none match, none there", fakes3.HonourConditions, map[string]string{"If-None-Match": "*"}, false, 200},
		{"none match, one there", fakes3.HonourConditions, map[string]string{"If-None-Match": "*"}, true, 412},
		{"match", fakes3.HonourConditions, map[string]string{"If-Match": `"` + "5d41402abc4b2a76b9719d911017c592" + `"`}, true, 200},
		{"another there", fakes3.HonourConditions, map[string]string{"If-Match": other}, true, 412},
		{"match, none there", fakes3.HonourConditions, map[string]string{"If-Match": other}, false, 404},
		{"ignored", fakes3.IgnoreConditions, map[string]string{"If-None-Match": "*"}, true, 200},
		{"refused", fakes3.RefuseConditions, map[string]string{"If-None-Match": "*"}, false, 501},
		{"none to refuse", fakes3.RefuseConditions, nil, false, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, _ := start(t, fakes3.Options{Anonymous: fakes3.FullAccess, Conditions: tt.conditions})
			if tt.exists {
				require.NoError(t, server.PutObject(bucket, "key", []byte("hello"), nil))
			}
			w := serve(server, "PUT", server.Endpoint()+"/"+bucket+"/key", "world", tt.header)
			assert.Equal(t, tt.want, w.Code, w.Body.String())
			o, _ := server.Object(bucket, "key")
			assert.Equal(t, tt.want == 200, string(o.Body) == "world")
		})
	}
	t.Run("on reads", func(t *testing.T) {
		server, _ := start(t, fakes3.Options{Anonymous: fakes3.FullAccess})
		require.NoError(t, server.PutObject(bucket, "key", []byte("hello"), nil))
		o, _ := server.Object(bucket, "key")
		url := server.Endpoint() + "/" + bucket + "/key"
		w := serve(server, "GET", url, "", map[string]string{"If-Match": o.ETag, "Range": "bytes=1-2"})
		assert.Equal(t, 206, w.Code)
		assert.Equal(t, "el", w.Body.String())
		w = serve(server, "GET", url, "", map[string]string{"If-Match": other})
		assert.Equal(t, 412, w.Code)
		assert.Contains(t, w.Body.String(), "PreconditionFailed")
		assert.NotContains(t, w.Body.String(), "hello")
	})
}

func TestListing(t *testing.T) {
	server, c := start(t, fakes3.Options{PageSize: 2})
	keys := []string{"a", "nar/1", "nar/2", "nar/3", "narinfo", "o/1", "o/2/3", "z+ &<>"}
	for _, key := range keys {
		require.NoError(t, server.PutObject(bucket, key, []byte("x"), nil))
	}
	for _, tt := range []struct {
		prefix, delimiter, after string
		want                     []string
		wantPages                int
	}{
		{"", "", "", keys, 4},
		{"nar", "", "", []string{"nar/1", "nar/2", "nar/3", "narinfo"}, 2},
		{"", "/", "", []string{"a", "nar/", "narinfo", "o/", "z+ &<>"}, 3},
		{"nar/", "/", "", []string{"nar/1", "nar/2", "nar/3"}, 2},
		{"", "", "nar/2", []string{"nar/3", "narinfo", "o/1", "o/2/3", "z+ &<>"}, 3},
		{"", "/", "nar/1", []string{"nar/", "narinfo", "o/", "z+ &<>"}, 2},
		{"o/", "/", "", []string{"o/1", "o/2/"}, 1},
		{"absent", "", "", nil, 1},
	} {
		t.Run(fmt.Sprintf("%q %q %q", tt.prefix, tt.delimiter, tt.after), func(t *testing.T) {
			in := &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: &tt.prefix}
			if tt.delimiter != "" {
				in.Delimiter = &tt.delimiter
			}
			if tt.after != "" {
				in.StartAfter = &tt.after
			}
			var got []string
			pages := 0
			for p := s3.NewListObjectsV2Paginator(c, in); p.HasMorePages(); pages++ {
				page, err := p.NextPage(t.Context())
				require.NoError(t, err)
				for _, o := range page.Contents {
					got = append(got, *o.Key)
				}
				for _, p := range page.CommonPrefixes {
					got = append(got, *p.Prefix)
				}
			}
			assert.ElementsMatch(t, tt.want, got)
			assert.Equal(t, tt.wantPages, pages)
		})
	}
}

func TestDeleteObjectsNeedsADigest(t *testing.T) {
	const body = `<Delete><Object><Key>key</Key></Object></Delete>`
	for _, tt := range []struct {
		name   string
		opts   fakes3.Options
		header map[string]string
		want   int
	}{
		{"none", fakes3.Options{}, nil, 400},
		{"MD5", fakes3.Options{}, map[string]string{"Content-MD5": "VUxjCEXWiErKatrg6+J0xA=="}, 200},
		{"checksum", fakes3.Options{}, map[string]string{"X-Amz-Checksum-Sha256": "+57kJYO5u/sFFgP3tQ1PKlGPhoPCcGX8kbyt7O9fvoU="}, 200},
		{"not the one that is needed", fakes3.Options{RequireContentMD5: true}, map[string]string{"X-Amz-Checksum-Sha256": "+57kJYO5u/sFFgP3tQ1PKlGPhoPCcGX8kbyt7O9fvoU="}, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Anonymous = fakes3.FullAccess
			server, _ := start(t, tt.opts)
			require.NoError(t, server.PutObject(bucket, "key", nil, nil))
			w := serve(server, "POST", server.Endpoint()+"/"+bucket+"?delete", body, tt.header)
			assert.Equal(t, tt.want, w.Code, w.Body.String())
			assert.Equal(t, tt.want != 200, len(server.Keys(bucket)) == 1)
		})
	}
}

func TestRegions(t *testing.T) {
	server, c := start(t, fakes3.Options{Region: "eu-central-1"})
	require.NoError(t, server.AddBucket("far", "ap-south-1"))
	location, err := c.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: aws.String(bucket)})
	require.NoError(t, err)
	assert.Equal(t, types.BucketLocationConstraintEuCentral1, location.LocationConstraint)
	head, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String(bucket)})
	require.NoError(t, err)
	assert.Equal(t, "eu-central-1", *head.BucketRegion)

	resp, err := server.Client().Head(server.Endpoint() + "/far")
	require.NoError(t, err)
	resp.Body.Close()
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("far"), Key: aws.String("key")})
	assert.Equal(t, http.StatusBadRequest, status(err))
	log := server.Requests()
	assert.Equal(t, "AuthorizationHeaderMalformed", log[len(log)-1].Code)
}

func TestStoredHeaders(t *testing.T) {
	server, c := start(t, fakes3.Options{})
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("key"), Body: strings.NewReader("x"),
		StorageClass: types.StorageClassStandardIa, ServerSideEncryption: types.ServerSideEncryptionAes256,
		Metadata: map[string]string{"a": "b"}, Tagging: aws.String("k=v"),
	})
	require.NoError(t, err)
	o, ok := server.Object(bucket, "key")
	require.True(t, ok)
	assert.Equal(t, "STANDARD_IA", o.Header.Get("X-Amz-Storage-Class"))
	assert.Equal(t, "AES256", o.Header.Get("X-Amz-Server-Side-Encryption"))
	assert.Equal(t, "b", o.Header.Get("X-Amz-Meta-A"))
	assert.Empty(t, o.Header.Get("X-Amz-Content-Sha256"))
	assert.Equal(t, "k=v", server.Requests()[0].Header.Get("X-Amz-Tagging"), "the log has what is not stored")

	require.NoError(t, put(t.Context(), c, "key", "y"))
	o, _ = server.Object(bucket, "key")
	assert.Empty(t, o.Header.Get("X-Amz-Meta-A"), "nothing of the old object is left")
	assert.Equal(t, "application/octet-stream", o.Header.Get("Content-Type"))
}
