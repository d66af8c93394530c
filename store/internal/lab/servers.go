package lab

import (
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
)

// The bucket, credentials and region of every server of the lab.
const (
	Bucket    = "nixs3"
	AccessKey = "lab"
	SecretKey = "labsecret123"
	Region    = "us-east-1"
)

// Server is a running server.
type Server struct {
	Name     string // "versitygw", "minio-tls", …
	Endpoint string // "http://127.0.0.1:7070"
}

// Servers returns the running S3 servers that .ci/lab started. It names them in
// the environment variable NIXS3_TEST_S3, a list of name=URL with spaces between
// them, and the file of the certificate authority of those with TLS in
// NIXS3_TEST_S3_CA. Without them Servers skips the test, as Missing does.
func Servers(t testing.TB) []Server {
	t.Helper()
	list := strings.Fields(os.Getenv("NIXS3_TEST_S3"))
	if len(list) == 0 {
		Missing(t, "no S3 servers in NIXS3_TEST_S3; .ci/lab starts some")
	}
	var servers []Server
	for _, entry := range list {
		name, endpoint, ok := strings.Cut(entry, "=")
		if !ok {
			t.Fatalf("NIXS3_TEST_S3: %q is not of the form name=URL", entry)
		}
		servers = append(servers, Server{name, endpoint})
	}
	return servers
}

// URL returns the s3:// URL of an empty part of the server's bucket that no
// other test uses. It sets the environment so that the URL can be opened, which
// a test that runs in parallel with others cannot do. The caller may append
// parameters with "&".
func (s Server) URL(t testing.TB) string {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID":           AccessKey,
		"AWS_SECRET_ACCESS_KEY":       SecretKey,
		"AWS_SESSION_TOKEN":           "",
		"AWS_CA_BUNDLE":               os.Getenv("NIXS3_TEST_S3_CA"),
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_PROFILE":                 "",
		"AWS_REGION":                  "",
		"AWS_DEFAULT_REGION":          "",
	} {
		t.Setenv(name, value)
	}
	return "s3://" + Bucket + "/" + rand.Text() + "?region=" + Region + "&endpoint=" + url.QueryEscape(s.Endpoint)
}
