package s3blob_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
)

const staticKeys = `
[default]
aws_access_key_id = KEYDEFAULT
aws_secret_access_key = secret
[dev]
aws_access_key_id = KEYDEV
aws_secret_access_key = secret
aws_session_token = session-dev
`

func TestCredentials(t *testing.T) {
	const keysInEnvironment = "KEYENV"
	inEnvironment := func(h awsHome) {
		h.t.Setenv("AWS_ACCESS_KEY_ID", keysInEnvironment)
		h.t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
		h.t.Setenv("AWS_SESSION_TOKEN", "session-env")
	}
	tests := []struct {
		name       string
		prepare    func(h awsHome)
		parameters string
		key        string
		token      string
	}{
		{"environment", inEnvironment, "", "KEYENV", "session-env"},
		{"environment on a custom endpoint", inEnvironment, "endpoint=http://localhost:1", "KEYENV", "session-env"},
		{"default profile", func(h awsHome) { h.write("credentials", staticKeys) }, "", "KEYDEFAULT", ""},
		{"profile of the URL", func(h awsHome) { h.write("credentials", staticKeys) }, "profile=dev", "KEYDEV", "session-dev"},
		{"profile of the environment", func(h awsHome) {
			h.write("credentials", staticKeys)
			h.t.Setenv("AWS_PROFILE", "dev")
		}, "", "KEYDEV", "session-dev"},
		{"environment takes precedence over the default profile", func(h awsHome) {
			h.write("credentials", staticKeys)
			inEnvironment(h)
		}, "", "KEYENV", "session-env"},
		{"profile of the URL takes precedence over the environment", func(h awsHome) {
			h.write("credentials", staticKeys)
			inEnvironment(h)
		}, "profile=dev", "KEYDEV", "session-dev"},
		{"profile of the URL takes precedence over that of the environment", func(h awsHome) {
			h.write("credentials", staticKeys)
			h.t.Setenv("AWS_PROFILE", "dev")
		}, "profile=default", "KEYDEFAULT", ""},
		{"default profile of the URL without any file", inEnvironment, "profile=default", "KEYENV", "session-env"},
		{"default profile of the URL beside others", func(h awsHome) {
			h.write("config", "[profile dev]\nregion = eu-west-1\n")
			inEnvironment(h)
		}, "profile=default", "KEYENV", "session-env"},
		{"files elsewhere", func(h awsHome) {
			h.t.Setenv("AWS_SHARED_CREDENTIALS_FILE", h.write("elsewhere", staticKeys))
		}, "", "KEYDEFAULT", ""},
		{"anonymous", func(awsHome) {}, "anonymous=true", "", ""},
		{"anonymous in spite of keys", inEnvironment, "anonymous=true", "", ""},
		{"assumed role", func(h awsHome) {
			h.write("credentials", staticKeys)
			h.write("config", "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/cache\nsource_profile = dev\n")
			fakeSTS(h.t)
		}, "profile=role", "KEYROLE-KEYDEV", "session-role"},
		{"web identity of the environment", func(h awsHome) {
			h.t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", h.write("token", "jwt"))
			h.t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/cache")
			fakeSTS(h.t)
		}, "", "KEYWEB-jwt", "session-web"},
		{"web identity of a profile", func(h awsHome) {
			h.write("config", "[profile web]\nrole_arn = arn:aws:iam::123456789012:role/cache\nweb_identity_token_file = "+h.write("token", "jwt2")+"\n")
			fakeSTS(h.t)
		}, "profile=web", "KEYWEB-jwt2", "session-web"},
		{"SSO", func(h awsHome) {
			h.ssoProfile(time.Hour)
		}, "profile=sso", "KEYSSO-bearer", "session-sso"},
		{"SSO takes precedence over the environment", func(h awsHome) {
			inEnvironment(h)
			h.ssoProfile(time.Hour)
		}, "profile=sso", "KEYSSO-bearer", "session-sso"},
		{"container", func(h awsHome) {
			fakeContainer(h.t, time.Hour)
			h.t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "ecs")
		}, "", "KEYCONTAINER1-ecs", "session-container"},
		{"pod identity, whose token is in a file", func(h awsHome) {
			fakeContainer(h.t, time.Hour)
			h.t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", h.write("pod", "eks"))
		}, "", "KEYCONTAINER1-eks", "session-container"},
		{"instance metadata", func(h awsHome) { fakeMetadata(h.t) }, "", "KEYIMDS", "session-imds"},
		{"role of the instance in a profile", func(h awsHome) {
			fakeMetadata(h.t)
			fakeSTS(h.t)
			h.write("config", "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/cache\ncredential_source = Ec2InstanceMetadata\n")
		}, "profile=role", "KEYROLE-KEYIMDS", "session-role"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.prepare(newAWSHome(t))
			req, err := head(t, "s3://bucket?"+tt.parameters)
			require.NoError(t, err)
			require.NotNil(t, req)
			key, _ := signer(req)
			assert.Equal(t, tt.key, key)
			assert.Equal(t, tt.token, req.Header.Get("X-Amz-Security-Token"))
		})
	}
}

func TestCredentialProcess(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	h := newAWSHome(t)
	answer := h.write("answer", `{"Version":1,"AccessKeyId":"KEYPROCESS","SecretAccessKey":"secret"}`)
	h.write("config", "[profile process]\ncredential_process = cat "+answer+"\n")
	req, err := head(t, "s3://bucket?profile=process")
	require.NoError(t, err)
	key, _ := signer(req)
	assert.Equal(t, "KEYPROCESS", key)
}

func TestNoCredentials(t *testing.T) {
	tests := []struct {
		name       string
		prepare    func(h awsHome)
		parameters string
		want       []string
		not        string
	}{
		{"nothing at all", func(awsHome) {}, "", []string{
			"no credentials; tried environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set)",
			"web identity (AWS_WEB_IDENTITY_TOKEN_FILE is not set)",
			"profile default (neither ", filepath.Join(".aws", "config"), filepath.Join(".aws", "credentials"), " exists)",
			"container (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI are not set)",
			"instance metadata (turned off by AWS_EC2_METADATA_DISABLED)",
			"for a public bucket add anonymous=true",
		}, "operation error"},
		{"half of the keys", func(h awsHome) { h.t.Setenv("AWS_ACCESS_KEY_ID", "KEY") }, "", []string{
			"environment (AWS_SECRET_ACCESS_KEY is not set)",
		}, "AWS_ACCESS_KEY_ID"},
		{"files without keys", func(h awsHome) { h.write("config", "[default]\nregion = eu-west-1\n") }, "", []string{
			"profile default (no credentials in ", "config)",
		}, " or "},
		{"keys that the profile passes over", func(h awsHome) {
			h.t.Setenv("AWS_ACCESS_KEY_ID", "KEY")
			h.t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
			h.write("config", "[profile empty]\nregion = eu-west-1\n")
		}, "profile=empty", []string{
			"environment (passed over for profile=empty)", "profile empty (no credentials in",
		}, "web identity"},
		{"custom endpoint", func(h awsHome) {
			h.t.Setenv("AWS_EC2_METADATA_DISABLED", "")
			refuseMetadata(h.t)
		}, "endpoint=http://localhost:1", []string{"instance metadata (not asked: the endpoint is not Amazon's)"}, ""},
		{"custom endpoint of the environment", func(h awsHome) {
			h.t.Setenv("AWS_EC2_METADATA_DISABLED", "")
			h.t.Setenv("AWS_ENDPOINT_URL_S3", "http://localhost:1")
			refuseMetadata(h.t)
		}, "", []string{"instance metadata (not asked: the endpoint is not Amazon's)"}, ""},
		{"instance without a role", func(h awsHome) {
			server := httptest.NewServer(http.NotFoundHandler())
			h.t.Cleanup(server.Close)
			h.t.Setenv("AWS_EC2_METADATA_DISABLED", "")
			h.t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL)
		}, "", []string{"instance metadata (", "404"}, ""},
		{"unknown profile", func(h awsHome) { h.write("credentials", staticKeys) }, "profile=dve", []string{
			"no credentials: profile dve is neither in ", filepath.Join(".aws", "config"), " nor in ", filepath.Join(".aws", "credentials"),
		}, "tried"},
		{"SSO session over", func(h awsHome) { h.ssoProfile(-time.Hour) }, "profile=sso", []string{
			"no credentials from the SSO session of profile sso: ", "sign in with aws sso login --profile sso",
		}, "tried"},
		{"role refused", func(h awsHome) {
			h.write("credentials", staticKeys)
			h.write("config", "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/forbidden\nsource_profile = dev\n")
			fakeSTS(h.t)
		}, "profile=role", []string{
			"no credentials from the source_profile of profile role", "AccessDenied", "not authorized to assume it",
		}, "tried"},
		{"token file missing", func(h awsHome) {
			h.t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", filepath.Join(h.dir, "absent"))
			h.t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/cache")
		}, "", []string{"no credentials from the web identity of AWS_WEB_IDENTITY_TOKEN_FILE", "absent"}, "tried"},
		{"container's endpoint gone", func(h awsHome) {
			h.t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
		}, "", []string{"no credentials from the container's endpoint", "127.0.0.1:1"}, "tried"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.prepare(newAWSHome(t))
			req, err := head(t, "s3://bucket?"+tt.parameters)
			assert.Nil(t, req, "nothing was sent to S3")
			require.ErrorIs(t, err, blob.ErrNoCredentials)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
			if tt.not != "" {
				assert.NotContains(t, err.Error(), tt.not)
			}
		})
	}
}

// TestMetadataBlackHole has an instance metadata service whose packets are
// dropped, as in most containers and on every laptop.
func TestMetadataBlackHole(t *testing.T) {
	newAWSHome(t)
	blackHole(t)
	start := time.Now()
	req, err := head(t, "s3://bucket")
	assert.Nil(t, req)
	require.ErrorIs(t, err, blob.ErrNoCredentials)
	assert.ErrorContains(t, err, "instance metadata (no answer within 500ms)")
	assert.Less(t, time.Since(start), 2*time.Second)
}

func TestCancelWhileLookingForCredentials(t *testing.T) {
	newAWSHome(t)
	blackHole(t)
	b, err := s3blob.Open(t.Context(), &s3url.URL{Bucket: "bucket"}, s3blob.Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = b.Head(ctx, "key")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, blob.ErrNoCredentials, "not known yet")
}

// TestCredentialsAreCached and renewed before they end.
func TestCredentialsAreCached(t *testing.T) {
	for name, tt := range map[string]struct {
		lifetime time.Duration
		want     []string
	}{
		"good for long": {time.Hour, []string{"KEYCONTAINER1-", "KEYCONTAINER1-", "KEYCONTAINER1-"}},
		"about to end":  {time.Second, []string{"KEYCONTAINER1-", "KEYCONTAINER2-", "KEYCONTAINER3-"}},
	} {
		t.Run(name, func(t *testing.T) {
			newAWSHome(t)
			fakeContainer(t, tt.lifetime)
			var r recorder
			b, err := s3blob.Open(t.Context(), &s3url.URL{Bucket: "bucket"}, s3blob.Options{Transport: &r})
			require.NoError(t, err)
			var keys []string
			for range tt.want {
				_, err := b.Head(t.Context(), "key")
				require.NoError(t, err)
				key, _ := signer(r.requests[len(r.requests)-1])
				keys = append(keys, key)
			}
			assert.Equal(t, tt.want, keys)
		})
	}
}

// TestRotationDuringUpload uploads in parts while every answer of the
// container's endpoint brings other keys.
func TestRotationDuringUpload(t *testing.T) {
	newAWSHome(t)
	fakeContainer(t, time.Second)
	server := newFakeS3(t)
	var mu sync.Mutex
	signers := make(map[string]string) // step of the upload to access key
	transport := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		step := req.Method
		if req.URL.Query().Has("uploads") {
			step = "begin"
		}
		mu.Lock()
		signers[step], _ = signer(req)
		mu.Unlock()
		return http.DefaultTransport.RoundTrip(req)
	})
	u, err := s3url.Parse("s3://bucket?multipart-threshold=5M&endpoint=" + server.URL)
	require.NoError(t, err)
	b, err := s3blob.Open(t.Context(), u, s3blob.Options{Transport: transport})
	require.NoError(t, err)
	content := strings.Repeat("0123456789abcdef", 22<<16) // 22 MiB
	_, err = b.Put(t.Context(), "big", strings.NewReader(content), blob.PutOptions{})
	require.NoError(t, err)
	begin, parts, end := signers["begin"], signers[http.MethodPut], signers[http.MethodPost]
	assert.True(t, begin != parts && parts != end && begin != end, "every step has new keys: %v", signers)
	got, _, err := blob.ReadAll(t.Context(), b, "big", 1<<30)
	require.NoError(t, err)
	assert.True(t, string(got) == content)
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestCredentialsOfFilesThatChange(t *testing.T) {
	newAWSHome(t)
	file := filepath.Join(t.TempDir(), "renewed")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	write := func(key string) {
		require.NoError(t, os.WriteFile(file, []byte("[default]\naws_access_key_id = "+key+"\naws_secret_access_key = secret\n"), 0o600))
	}
	write("first")
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b, err := s3blob.Open(t.Context(), &s3url.URL{Bucket: "bucket"}, s3blob.Options{Transport: &r})
		require.NoError(t, err)
		signs := func() string {
			_, err := b.Head(t.Context(), "key")
			require.NoError(t, err)
			key, _ := signer(r.requests[len(r.requests)-1])
			return key
		}
		assert.Equal(t, "first", signs())
		write("renewed")
		time.Sleep(2 * time.Second)
		assert.Equal(t, "renewed", signs())
		require.NoError(t, os.WriteFile(file, []byte("[half"), 0o600))
		time.Sleep(2 * time.Second)
		assert.Equal(t, "renewed", signs(), "a file that is being written")
	})
}
