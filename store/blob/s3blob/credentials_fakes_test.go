package s3blob_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob/s3blob"
)

// awsHome is a machine without any credentials: an empty environment and an
// empty home directory. What a test adds is all there is.
type awsHome struct {
	t   *testing.T
	dir string
}

func newAWSHome(t *testing.T) awsHome {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, value) // is put back at the end
			require.NoError(t, os.Unsetenv(name))
		}
	}
	h := awsHome{t, t.TempDir()}
	t.Setenv("HOME", h.dir)
	t.Setenv("USERPROFILE", h.dir)
	// The SDK looks these up only once, when the program starts.
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(h.dir, ".aws", "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(h.dir, ".aws", "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return h
}

// write stores a file of the AWS tools, by its name below ~/.aws.
func (h awsHome) write(name, content string) string {
	h.t.Helper()
	name = filepath.Join(h.dir, ".aws", filepath.FromSlash(name))
	require.NoError(h.t, os.MkdirAll(filepath.Dir(name), 0o700))
	require.NoError(h.t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// recorder answers every request to S3 with 200 and keeps who signed it.
type recorder struct {
	mu       sync.Mutex
	requests []*http.Request
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, req)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

var credentialPattern = regexp.MustCompile(`Credential=([^/]*)/[^/]*/([^/]*)/`)

// signer returns the access key and the region of a signature, both empty
// where there is none.
func signer(req *http.Request) (key, region string) {
	if m := credentialPattern.FindStringSubmatch(req.Header.Get("Authorization")); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

// head asks for one object and returns the request that arrived at S3, nil
// where none did.
func head(t *testing.T, rawURL string) (*http.Request, error) {
	t.Helper()
	u, err := s3url.Parse(rawURL)
	require.NoError(t, err)
	var r recorder
	b, err := s3blob.Open(t.Context(), u, s3blob.Options{Transport: &r})
	if err != nil {
		return nil, err
	}
	_, err = b.Head(t.Context(), "key")
	if len(r.requests) == 0 {
		return nil, err
	}
	require.Len(t, r.requests, 1)
	require.NoError(t, err)
	return r.requests[0], nil
}

// fakeSTS serves AssumeRole and AssumeRoleWithWebIdentity. The keys it gives
// tell what they were given for.
func fakeSTS(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		action := r.FormValue("Action")
		if strings.HasSuffix(r.FormValue("RoleArn"), "/forbidden") {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to assume it</Message></Error></ErrorResponse>`)
			return
		}
		key, token := "", ""
		switch action {
		case "AssumeRole":
			by, _ := signer(r)
			key, token = "KEYROLE-"+by, "session-role"
		case "AssumeRoleWithWebIdentity":
			key, token = "KEYWEB-"+r.FormValue("WebIdentityToken"), "session-web"
		default:
			http.Error(w, "unknown action "+action, http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials>
<AccessKeyId>%[2]s</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>%[3]s</SessionToken><Expiration>%[4]s</Expiration>
</Credentials></%[1]sResult></%[1]sResponse>`, action, key, token, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", server.URL)
}

// ssoProfile adds the profile "sso" with a cached sign-in that ends after the
// given time, and the service that turns it into keys.
func (h awsHome) ssoProfile(lifetime time.Duration) {
	h.write("config", `
[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = cache
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://corp.awsapps.com/start
`)
	name := sha1.Sum([]byte("corp"))
	h.write("sso/cache/"+hex.EncodeToString(name[:])+".json", fmt.Sprintf(
		`{"accessToken":"bearer","expiresAt":%q,"region":"eu-west-1","startUrl":"https://corp.awsapps.com/start"}`,
		time.Now().Add(lifetime).UTC().Format(time.RFC3339)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/federation/credentials" || q.Get("role_name") != "cache" || q.Get("account_id") != "123456789012" {
			http.Error(w, r.URL.String(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"roleCredentials":{"accessKeyId":"KEYSSO-%s","secretAccessKey":"secret","sessionToken":"session-sso","expiration":%d}}`,
			r.Header.Get("X-Amz-Sso_bearer_token"), time.Now().Add(time.Hour).UnixMilli())
	}))
	h.t.Cleanup(server.Close)
	h.t.Setenv("AWS_ENDPOINT_URL_SSO", server.URL)
}

// fakeContainer serves the endpoint of ECS and of EKS pod identity. Each answer
// has keys of its own.
func fakeContainer(t *testing.T, lifetime time.Duration) {
	var answers atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"AccessKeyId":"KEYCONTAINER%d-%s","SecretAccessKey":"secret","Token":"session-container","Expiration":%q}`,
			answers.Add(1), r.Header.Get("Authorization"), time.Now().Add(lifetime).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.URL+"/creds")
}

// fakeMetadata serves the metadata of an instance with a role to clients that
// fetch a token first.
func fakeMetadata(t *testing.T) {
	const base = "/latest/meta-data/iam/security-credentials/"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			io.WriteString(w, "token")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == base:
			io.WriteString(w, "instance-role\n")
		case r.URL.Path == base+"instance-role":
			fmt.Fprintf(w, `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"KEYIMDS","SecretAccessKey":"secret","Token":"session-imds","Expiration":%q}`,
				time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL)
}

// blackHole is an instance metadata service that accepts and never answers.
func blackHole(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://"+listener.Addr().String())
}

// refuseMetadata fails the test when instance metadata is asked for.
func refuseMetadata(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("instance metadata was asked: %s %s", r.Method, r.URL)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL)
}

// newFakeS3 serves an empty bucket named "bucket".
func newFakeS3(t *testing.T) *httptest.Server {
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("bucket"))
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	return server
}
