package s3access_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"
)

// useKeys makes two AWS keys all that the machine has. Empty ones are none.
func useKeys(t *testing.T, accessKey, secretKey string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, value) // restored at the end
			require.NoError(t, os.Unsetenv(name))
		}
	}
	t.Setenv("HOME", t.TempDir())
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID":           accessKey,
		"AWS_SECRET_ACCESS_KEY":       secretKey,
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED":   "true",
	} {
		t.Setenv(name, value)
	}
}

// newFakeS3 serves an empty bucket named "bucket".
func newFakeS3(t *testing.T) *httptest.Server {
	t.Helper()
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("bucket"))
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	return server
}

var credentialPattern = regexp.MustCompile(`Credential=([^/]*)/[^/]*/([^/]*)/`)

// signer returns the access key and the region of a signature, both empty for
// an unsigned request.
func signer(req *http.Request) (key, region string) {
	if m := credentialPattern.FindStringSubmatch(req.Header.Get("Authorization")); m != nil {
		return m[1], m[2]
	}
	return "", ""
}
