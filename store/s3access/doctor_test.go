package s3access_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/s3access"
)

// operation returns the S3 operation of a request.
func operation(r *http.Request) string {
	q := r.URL.Query()
	object := strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 0
	switch {
	case q.Has("location"):
		return "GetBucketLocation"
	case q.Has("delete"):
		return "DeleteObjects"
	case q.Has("uploads") && r.Method == http.MethodPost:
		return "CreateMultipartUpload"
	case q.Has("uploads"):
		return "ListMultipartUploads"
	case q.Has("uploadId"):
		return map[string]string{http.MethodPut: "UploadPart", http.MethodGet: "ListParts", http.MethodDelete: "AbortMultipartUpload"}[r.Method]
	case !object:
		return "ListObjects"
	case r.Header.Get("If-None-Match") != "":
		return "PutObjectIfNoneMatch"
	case r.Header.Get("Range") != "":
		return "GetObjectRange"
	}
	return map[string]string{http.MethodGet: "GetObject", http.MethodHead: "HeadObject", http.MethodPut: "PutObject", http.MethodDelete: "DeleteObject"}[r.Method]
}

// refuse is a server that answers some operations with an error.
func refuse(next http.Handler, status int, code string, operations ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, op := range operations {
			if op == operation(r) {
				w.WriteHeader(status)
				fmt.Fprintf(w, "<Error><Code>%s</Code><Message>refused by the test</Message></Error>", code)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// noKeys, for parameters, is a machine without credentials.
const noKeys = "no keys"

// examine runs Doctor against a server with one cache in the bucket "bucket",
// below the prefix "stable", that answers through wrap.
func examine(t *testing.T, access s3access.Access, parameters string, wrap func(http.Handler) http.Handler) []s3access.Check {
	t.Helper()
	useKeys(t, "KEY", "secret")
	fake := newFakeS3(t)
	plain := openURL(t, "s3://bucket/stable?endpoint="+fake.URL, s3blob.Options{})
	_, err := plain.Put(t.Context(), "nix-cache-info", strings.NewReader("StoreDir: /nix/store\nPriority: 30\n"), blob.PutOptions{})
	require.NoError(t, err)
	server := httptest.NewServer(wrap(fake.Config.Handler))
	t.Cleanup(server.Close)
	if parameters == noKeys {
		useKeys(t, "", "")
		parameters = ""
	}
	u, err := s3url.Parse("s3://bucket/stable?retry-delay=1&endpoint=" + server.URL + parameters)
	require.NoError(t, err)
	return s3access.Doctor(t.Context(), u, access, s3blob.Options{})
}

func openURL(t *testing.T, rawURL string, opts s3blob.Options) *s3blob.Bucket {
	t.Helper()
	u, err := s3url.Parse(rawURL)
	require.NoError(t, err)
	b, err := s3blob.Open(t.Context(), u, opts)
	require.NoError(t, err)
	return b
}

func unchanged(next http.Handler) http.Handler { return next }

var readerSteps = []string{
	"understand the URL", "find credentials", "reach the bucket", "read nix-cache-info", "detect missing objects", "list the bucket",
}

var writerSteps = append(readerSteps[:len(readerSteps):len(readerSteps)],
	"store an object", "read it back", "store only what is not there", "store in parts", "list unfinished uploads", "delete the object")

func TestDoctorOfHealthyCache(t *testing.T) {
	tests := []struct {
		name   string
		access s3access.Access
		steps  []string
	}{
		{"anonymous", s3access.AccessAnonymous, readerSteps},
		{"read", s3access.AccessRead, readerSteps},
		{"write", s3access.AccessWrite, writerSteps},
		{"collect", s3access.AccessCollect, writerSteps},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var requests []string
			checks := examine(t, tt.access, "", func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests = append(requests, operation(r)+" "+r.URL.Path)
					if key, _ := signer(r); (key == "") != (tt.access == s3access.AccessAnonymous) {
						t.Errorf("signed by %q: %s", key, r.URL)
					}
					next.ServeHTTP(w, r)
				})
			})
			var steps []string
			for _, c := range checks {
				steps = append(steps, c.Step)
				assert.True(t, c.OK, "%+v", c)
				assert.NotEmpty(t, c.Detail, c.Step)
				assert.Empty(t, c.Remedy, c.Step)
			}
			assert.Equal(t, tt.steps, steps)
			for _, r := range requests {
				if tt.access < s3access.AccessWrite {
					assert.Regexp(t, "^(Get|Head|List)", r, "readers store nothing")
				} else if strings.HasPrefix(r, "Put") {
					assert.Equal(t, "/bucket/stable/nixs3-doctor", strings.Fields(r)[1])
				}
			}
		})
	}
}

func TestDoctorLeavesNothing(t *testing.T) {
	var server http.Handler
	examine(t, s3access.AccessCollect, "", func(next http.Handler) http.Handler { server = next; return next })
	ts := httptest.NewServer(server)
	t.Cleanup(ts.Close)
	b := openURL(t, "s3://bucket?endpoint="+ts.URL, s3blob.Options{})
	for o, err := range b.List(t.Context(), blob.ListOptions{}) {
		require.NoError(t, err)
		assert.Equal(t, "stable/nix-cache-info", o.Key)
	}
	for up, err := range b.Uploads(t.Context(), "") {
		t.Errorf("open upload %v, %v", up, err)
	}
}

// TestDoctorFindsWhatIsMissing refuses one operation at a time.
func TestDoctorFindsWhatIsMissing(t *testing.T) {
	const bucket, objects = " on arn:aws:s3:::bucket", " on arn:aws:s3:::bucket/stable/*"
	tests := []struct {
		refused    string
		access     s3access.Access
		parameters string
		step       string
		ok         bool
		remedy     string
	}{
		{"GetBucketLocation", s3access.AccessRead, "", "reach the bucket", true, "s3:GetBucketLocation" + bucket},
		{"GetObject", s3access.AccessRead, "", "read nix-cache-info", false, "s3:GetObject" + objects},
		{"GetObjectRange", s3access.AccessRead, "", "read nix-cache-info", false, "s3:GetObject" + objects},
		{"HeadObject", s3access.AccessRead, "", "detect missing objects", true, "s3:ListBucket" + bucket},
		{"ListObjects", s3access.AccessRead, "", "list the bucket", true, "s3:ListBucket" + bucket},
		{"ListObjects", s3access.AccessCollect, "", "list the bucket", false, "s3:ListBucket" + bucket},
		{"PutObject", s3access.AccessWrite, "", "store an object", false, "s3:PutObject" + objects},
		{"PutObject", s3access.AccessWrite, "&tags=a=b&sse=aws:kms", "store an object", false, "s3:PutObject and s3:PutObjectTagging" + objects + ", kms:GenerateDataKey and kms:Decrypt on the key"},
		{"PutObjectIfNoneMatch", s3access.AccessWrite, "", "store only what is not there", false, "s3:PutObject" + objects},
		{"CreateMultipartUpload", s3access.AccessWrite, "", "store in parts", false, "s3:PutObject" + objects},
		{"UploadPart", s3access.AccessWrite, "", "store in parts", false, "s3:PutObject and s3:ListMultipartUploadParts" + objects},
		{"ListParts", s3access.AccessWrite, "", "store in parts", false, "s3:PutObject and s3:ListMultipartUploadParts" + objects},
		{"AbortMultipartUpload", s3access.AccessWrite, "", "store in parts", false, "s3:AbortMultipartUpload" + objects},
		{"ListMultipartUploads", s3access.AccessWrite, "", "list unfinished uploads", false, "s3:ListBucketMultipartUploads" + bucket},
		{"DeleteObjects", s3access.AccessWrite, "", "delete the object", true, ""},
		{"DeleteObjects", s3access.AccessCollect, "", "delete the object", false, "s3:DeleteObject" + objects},
	}
	for _, tt := range tests {
		t.Run(tt.refused+" of "+tt.step, func(t *testing.T) {
			checks := examine(t, tt.access, tt.parameters, func(next http.Handler) http.Handler {
				return refuse(next, http.StatusForbidden, "AccessDenied", tt.refused)
			})
			found := false
			for _, c := range checks {
				switch {
				case c.Step == tt.step:
					found = true
					assert.Equal(t, tt.ok, c.OK, "%+v", c)
					assert.Equal(t, tt.remedy, c.Remedy)
				case tt.refused == "PutObject" && strings.HasPrefix(c.Detail, "not tried"):
					assert.False(t, c.OK)
				default:
					assert.True(t, c.OK, "only one step fails: %+v", c)
				}
			}
			assert.True(t, found)
		})
	}
}

func TestDoctorOfOddServers(t *testing.T) {
	tests := []struct {
		name       string
		access     s3access.Access
		parameters string
		wrap       func(http.Handler) http.Handler
		step       string
		ok         bool
		detail     string
		remedy     string
		rest       bool // the later steps are tried
	}{
		{"unknown profile", s3access.AccessRead, "&profile=absent", unchanged, "understand the URL", false, "profile absent is neither in", "", false},
		{"deprecated parameter", s3access.AccessRead, "&scheme=http", unchanged, "understand the URL", true, "/bucket/stable/nix-cache-info", "scheme is deprecated", true},
		{"no credentials", s3access.AccessRead, noKeys, unchanged, "find credentials", false, "no credentials; tried", "anonymous=true", false},
		{"wrong key", s3access.AccessRead, "", func(h http.Handler) http.Handler {
			return refuse(h, http.StatusForbidden, "InvalidAccessKeyId", "GetBucketLocation")
		}, "reach the bucket", false, "refused by the test", "check profile=", false},
		{"no such bucket", s3access.AccessRead, "", func(h http.Handler) http.Handler {
			return refuse(h, http.StatusNotFound, "NoSuchBucket", "GetBucketLocation")
		}, "reach the bucket", false, "no such bucket", "check the bucket's name", false},
		{"regions unknown", s3access.AccessRead, "", func(h http.Handler) http.Handler {
			return refuse(h, http.StatusNotImplemented, "NotImplemented", "GetBucketLocation")
		}, "reach the bucket", true, "the server has no regions", "", true},
		{"another region", s3access.AccessRead, "", func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, region := signer(r); region != "eu-central-1" {
					w.Header().Set("X-Amz-Bucket-Region", "eu-central-1")
					w.WriteHeader(http.StatusBadRequest)
					return
				}
				h.ServeHTTP(w, r)
			})
		}, "reach the bucket", true, "in eu-central-1, not in us-east-1", "region=eu-central-1", true},
		{"region told", s3access.AccessRead, "", tellRegion("eu-west-3"), "reach the bucket", true, "in eu-west-3, not in us-east-1", "region=eu-west-3", true},
		{"region of old", s3access.AccessRead, "&region=eu-west-1", tellRegion("EU"), "reach the bucket", true, "in eu-west-1", "", true},
		{"no cache for a reader", s3access.AccessRead, "", func(h http.Handler) http.Handler {
			return refuse(h, http.StatusNotFound, "NoSuchKey", "GetObject")
		}, "read nix-cache-info", false, "not found", "the right bucket and prefix", true},
		{"no cache for a writer", s3access.AccessWrite, "", func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/nix-cache-info") {
					w.WriteHeader(http.StatusNotFound)
					fmt.Fprint(w, "<Error><Code>NoSuchKey</Code></Error>")
					return
				}
				h.ServeHTTP(w, r)
			})
		}, "read nix-cache-info", true, "the first write begins it", "", true},
		{"ranges ignored", s3access.AccessRead, "", func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if operation(r) == "GetObjectRange" {
					w.Header().Set("Content-Range", "bytes 17-33/34")
					w.WriteHeader(http.StatusPartialContent)
					fmt.Fprint(w, "StoreDir: /nix/st")
					return
				}
				h.ServeHTTP(w, r)
			})
		}, "read nix-cache-info", false, "something other than the requested part", "supports Range", true},
		{"everything is there", s3access.AccessRead, "", func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if operation(r) == "HeadObject" {
					w.Header().Set("Content-Length", "1")
					return
				}
				h.ServeHTTP(w, r)
			})
		}, "detect missing objects", false, "expected a missing object", "endpoint=", true},
		{"conditions ignored", s3access.AccessWrite, "", func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("If-None-Match")
				h.ServeHTTP(w, r)
			})
		}, "store only what is not there", true, "the server ignores conditions", "", true},
		{"no conditions", s3access.AccessWrite, "", func(h http.Handler) http.Handler {
			return refuse(h, http.StatusNotImplemented, "NotImplemented", "PutObjectIfNoneMatch")
		}, "store only what is not there", true, "the server has no conditions", "", true},
		{"bodies rewritten", s3access.AccessWrite, "", func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if operation(r) == "GetObject" && strings.HasSuffix(r.URL.Path, "/nixs3-doctor") {
					w.Write([]byte("21\r\nnixs3 doctor was here"))
					return
				}
				h.ServeHTTP(w, r)
			})
		}, "read it back", false, "expected the stored bytes", "without a proxy", true},
		{"multipart turned off", s3access.AccessWrite, "&multipart-upload=false", unchanged, "store in parts", true, "turned off", "multipart-upload=true", true},
		{"deletes that do nothing", s3access.AccessCollect, "", func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if operation(r) == "DeleteObjects" {
					fmt.Fprint(w, "<DeleteResult></DeleteResult>")
					return
				}
				h.ServeHTTP(w, r)
			})
		}, "delete the object", false, "the object still exists", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			passed := false
			for _, c := range examine(t, tt.access, tt.parameters, tt.wrap) {
				switch {
				case c.Step == tt.step:
					passed = true
					assert.Equal(t, tt.ok, c.OK, "%+v", c)
					assert.Contains(t, c.Detail, tt.detail)
					assert.Contains(t, c.Remedy, tt.remedy)
				case passed && !tt.rest:
					assert.Equal(t, "not tried: without the step "+tt.step+" it fails too", c.Detail)
					assert.False(t, c.OK)
				default:
					assert.True(t, c.OK, "%+v", c)
				}
			}
			assert.True(t, passed)
		})
	}
}

func tellRegion(region string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if operation(r) == "GetBucketLocation" {
				fmt.Fprintf(w, "<LocationConstraint>%s</LocationConstraint>", region)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func TestDoctorOfNoServer(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for name, tt := range map[string]struct{ endpoint, remedy string }{
		"nothing listens":   {closed.URL, "no server listens there: check endpoint="},
		"TLS to plain HTTP": {strings.Replace(plain.URL, "http:", "https:", 1), "the server speaks plain HTTP: use endpoint=http://…"},
	} {
		t.Run(name, func(t *testing.T) {
			useKeys(t, "", "")
			u, err := s3url.Parse("s3://bucket?retry-attempts=1&endpoint=" + tt.endpoint)
			require.NoError(t, err)
			checks := s3access.Doctor(t.Context(), u, s3access.AccessAnonymous, s3blob.Options{})
			require.Len(t, checks, len(readerSteps))
			assert.False(t, checks[2].OK)
			assert.Equal(t, tt.remedy, checks[2].Remedy)
			assert.NotContains(t, checks[2].Detail, checks[2].Remedy, "it is said once")
		})
	}
}

func TestDoctorIsCancelled(t *testing.T) {
	useKeys(t, "", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range s3access.Doctor(ctx, &s3url.URL{Bucket: "bucket"}, s3access.AccessCollect, s3blob.Options{}) {
		assert.False(t, c.OK)
		assert.Equal(t, "not tried: context canceled", c.Detail)
	}
}

func ExampleDoctor() {
	u, err := s3url.Parse("s3://my-cache?region=eu-west-1&profile=ci")
	if err != nil {
		log.Fatal(err)
	}
	for _, check := range s3access.Doctor(context.Background(), u, s3access.AccessWrite, s3blob.Options{}) {
		fmt.Println(check.OK, check.Step, check.Detail)
		if check.Remedy != "" {
			fmt.Println("  fix:", check.Remedy)
		}
	}
}
