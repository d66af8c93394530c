package fakes3_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

// The examples of "Signature Calculations for the Authorization Header" in the
// Amazon S3 API Reference, with the keys and the date used there.
var (
	exampleCredentials = fakes3.Credentials{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	exampleDate        = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
)

const credential = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"

func exampleServer(t *testing.T) *fakes3.Server {
	server, _ := start(t, fakes3.Options{
		Buckets:     []string{"examplebucket"},
		Credentials: []fakes3.Credentials{exampleCredentials},
		Now:         func() time.Time { return exampleDate },
		Domain:      "s3.amazonaws.com",
	})
	return server
}

// serve sends a request written out as its lines, and returns the answer.
func serve(server *fakes3.Server, method, url, body string, header map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	return w
}

func TestDocumentedSignatures(t *testing.T) {
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, tt := range []struct {
		name, method, url, body string
		header                  map[string]string
		signed, signature       string
		want                    int
	}{
		{
			"GET with a range", "GET", "http://examplebucket.s3.amazonaws.com/test.txt", "",
			map[string]string{"Range": "bytes=0-9", "X-Amz-Content-Sha256": empty},
			"host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
			http.StatusPartialContent,
		},
		{
			"PUT", "PUT", "http://examplebucket.s3.amazonaws.com/test$file.text", "Welcome to Amazon S3.",
			map[string]string{
				"Date": "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY",
				"X-Amz-Content-Sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			},
			"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
			http.StatusOK,
		},
		{
			"subresource", "GET", "http://examplebucket.s3.amazonaws.com/?lifecycle", "",
			map[string]string{"X-Amz-Content-Sha256": empty},
			"host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
			http.StatusNotImplemented, // after the signature
		},
		{
			"listing", "GET", "http://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J", "",
			map[string]string{"X-Amz-Content-Sha256": empty},
			"host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
			http.StatusOK,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := exampleServer(t)
			require.NoError(t, server.PutObject("examplebucket", "test.txt", []byte("0123456789abc"), nil))
			header := map[string]string{"X-Amz-Date": "20130524T000000Z"}
			for name, value := range tt.header {
				header[name] = value
			}
			header["Authorization"] = credential + "SignedHeaders=" + tt.signed + ",Signature=" + tt.signature
			w := serve(server, tt.method, tt.url, tt.body, header)
			assert.Equal(t, tt.want, w.Code, w.Body.String())

			header["Authorization"] = strings.Replace(header["Authorization"], "Signature="+tt.signature[:1], "Signature=x", 1)
			w = serve(server, tt.method, tt.url, tt.body, header)
			assert.Equal(t, http.StatusForbidden, w.Code)
			assert.Contains(t, w.Body.String(), "SignatureDoesNotMatch")
		})
	}
}

// chunks are the parts of the examples of streamed uploads.
var chunks = []string{strings.Repeat("a", 65536), strings.Repeat("a", 1024), ""}

func streamed(signatures ...string) string {
	var b strings.Builder
	for i, s := range signatures {
		size := []string{"10000", "400", "0"}[i]
		b.WriteString(size + ";chunk-signature=" + s + "\r\n" + chunks[i])
		if i < len(chunks)-1 {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

func TestDocumentedChunkSignatures(t *testing.T) {
	for _, tt := range []struct {
		name, mode, signed, seed string
		header                   map[string]string
		body                     string
	}{
		{
			"chunks", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
			"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
			nil,
			streamed("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
				"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
				"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9") + "\r\n",
		},
		{
			"chunks and trailer", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
			"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
			map[string]string{"X-Amz-Trailer": "x-amz-checksum-crc32c"},
			streamed("b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
				"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
				"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992") +
				"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := map[string]string{
				"X-Amz-Date": "20130524T000000Z", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY",
				"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": "66560", "X-Amz-Content-Sha256": tt.mode,
				"Authorization": credential + "SignedHeaders=" + tt.signed + ",Signature=" + tt.seed,
			}
			for name, value := range tt.header {
				header[name] = value
			}
			const url = "http://s3.amazonaws.com/examplebucket/chunkObject.txt"

			server := exampleServer(t)
			w := serve(server, "PUT", url, tt.body, header)
			require.Equal(t, http.StatusOK, w.Code, w.Body.String())
			o, ok := server.Object("examplebucket", "chunkObject.txt")
			require.True(t, ok)
			assert.Equal(t, strings.Join(chunks, ""), string(o.Body))
			assert.Empty(t, o.Header.Get("Content-Encoding"))

			for name, broken := range map[string]string{
				"another byte":       strings.Replace(tt.body, "aaa", "aab", 1),
				"another chunk size": strings.Replace(tt.body, "10000;", "fffff;", 1),
				"no chunk size":      strings.Replace(tt.body, "10000;", "xyz;", 1),
				"huge chunk":         strings.Replace(tt.body, "10000;", "7fffffffffffffff;", 1),
				"endless line":       strings.Repeat("0", 100000),
				"short":              tt.body[:66000],
				"empty":              "",
			} {
				server := exampleServer(t)
				h := make(map[string]string)
				for k, v := range header {
					h[k] = v
				}
				w := serve(server, "PUT", url, broken, h)
				assert.GreaterOrEqual(t, w.Code, 400, name)
				assert.Empty(t, server.Keys("examplebucket"), name)
			}
		})
	}
}

func TestMalformedAuthorization(t *testing.T) {
	good := credential + "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=00"
	for _, tt := range []struct {
		name, authorization, date, want string
	}{
		{"another algorithm", "AWS AKID:signature", "20130524T000000Z", "AuthorizationHeaderMalformed"},
		{"short credential", strings.Replace(good, "/us-east-1", "", 1), "20130524T000000Z", "AuthorizationHeaderMalformed"},
		{"another service", strings.Replace(good, "/s3/", "/ec2/", 1), "20130524T000000Z", "AuthorizationHeaderMalformed"},
		{"another day", strings.Replace(good, "20130524", "20130523", 1), "20130524T000000Z", "AuthorizationHeaderMalformed"},
		{"no date", good, "", "AccessDenied"},
		{"no signed headers", strings.Replace(good, "host;x-amz-content-sha256;x-amz-date", "", 1), "20130524T000000Z", "AuthorizationHeaderMalformed"},
		{"unsorted headers", strings.Replace(good, "host;x-amz-content-sha256", "x-amz-content-sha256;host", 1), "20130524T000000Z", "AuthorizationHeaderMalformed"},
		{"host not signed", strings.Replace(good, "host;", "", 1), "20130524T000000Z", "AccessDenied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := map[string]string{"Authorization": tt.authorization, "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}
			if tt.date != "" {
				header["X-Amz-Date"] = tt.date
			}
			w := serve(exampleServer(t), "GET", "http://s3.amazonaws.com/examplebucket/key", "", header)
			assert.GreaterOrEqual(t, w.Code, 400)
			assert.Contains(t, w.Body.String(), "<Code>"+tt.want+"</Code>")
		})
	}
	t.Run("no payload hash", func(t *testing.T) {
		w := serve(exampleServer(t), "GET", "http://s3.amazonaws.com/examplebucket/key", "", map[string]string{"Authorization": good, "X-Amz-Date": "20130524T000000Z"})
		assert.Equal(t, http.StatusBadRequest, w.Code)
	})
}

func FuzzServe(f *testing.F) {
	f.Add("PUT", "/examplebucket/key", credential+"SignedHeaders=host,Signature=0", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n")
	f.Add("POST", "/examplebucket?delete", "", "UNSIGNED-PAYLOAD", "<Delete><Object><Key>a</Key></Object></Delete>")
	f.Add("POST", "/examplebucket/key?uploadId=1", "", "", "<CompleteMultipartUpload/>")
	f.Add("GET", "/examplebucket?list-type=2&continuation-token=x&max-keys=-1", "", "", "")
	f.Add("PUT", "/examplebucket/key?uploadId=1&partNumber=0", "", "", "x")
	server, err := fakes3.Start(fakes3.Options{Buckets: []string{"examplebucket"}, Anonymous: fakes3.FullAccess})
	require.NoError(f, err)
	f.Cleanup(func() { server.Close() })
	f.Fuzz(func(t *testing.T, method, target, authorization, payload, body string) {
		r, err := http.NewRequest(method, "http://localhost"+target, strings.NewReader(body))
		if err != nil || r.URL.Host != "localhost" {
			t.Skip()
		}
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Content-Sha256", payload)
		r.Header.Set("X-Amz-Decoded-Content-Length", "3")
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		if authorization == "" {
			r.Header.Del("Authorization")
		}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code < 200 || w.Code > 599 {
			t.Errorf("status %d", w.Code)
		}
	})
}
