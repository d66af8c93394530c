package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cleanAWS clears the AWS settings of the environment.
func cleanAWS(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "testdata/no-such-file")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "testdata/no-such-file")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestURL(t *testing.T) {
	for _, c := range []struct {
		name, url string
		env       map[string]string
		lines     []string // of the output, as regular expressions
	}{
		{
			name: "on AWS", url: "s3://cache/team?region=eu-west-1&compression=xz",
			lines: []string{
				`^bucket +cache$`, `^prefix +team$`,
				`^nix-cache-info +https://cache\.s3\.eu-west-1\.amazonaws\.com/team/nix-cache-info$`,
				`^region +eu-west-1 +url`, `^compression +xz +url`, `^multipart-threshold .* +default`,
			},
		},
		{
			name: "on an endpoint", url: "s3://cache?endpoint=localhost:9000&scheme=http",
			lines: []string{
				`^prefix +\(none\)$`, `^nix-cache-info +http://localhost:9000/cache/nix-cache-info$`,
				`^endpoint +\S*localhost:9000\S* +url`, `^region +us-east-1 +default`,
			},
		},
		{
			name: "with a region in the environment", url: "s3://cache",
			env: map[string]string{"AWS_REGION": "eu-north-1"},
			lines: []string{
				`^region +eu-north-1 +AWS_REGION`,
				`^nix-cache-info +https://cache\.s3\.eu-north-1\.amazonaws\.com/nix-cache-info$`,
			},
		},
		{
			name: "with a region in the profile", url: "s3://cache?profile=work",
			env: map[string]string{"AWS_CONFIG_FILE": "testdata/aws-config"},
			lines: []string{
				`^profile +work +url`, `^region +ap-southeast-2 +profile`,
			},
		},
		{
			name: "with a profile in the environment", url: "s3://cache",
			env: map[string]string{"AWS_CONFIG_FILE": "testdata/aws-config", "AWS_PROFILE": "work"},
			lines: []string{
				`^profile +work +AWS_PROFILE`, `^region +ap-southeast-2 +profile`,
			},
		},
		{
			name: "with an alias", url: "s3://cache?buffer-size=8388608",
			lines: []string{`^multipart-chunk-size +\S.* alias +.*buffer-size`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cleanAWS(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			got := nixs3(t, "", "url", c.url)
			require.Equal(t, exitOK, got.exit, got.stderr)
			for _, line := range c.lines {
				assert.Regexp(t, "(?m)"+line, got.stdout)
			}
		})
	}
}

func TestURLMistakes(t *testing.T) {
	check(t, []command{
		{"an unknown parameter", []string{"url", "s3://cache?regoin=x"}, "", "", "region", exitFailed},
		{"no bucket", []string{"url", "s3://"}, "", "", "bucket", exitFailed},
		{"a compression that cannot be written", []string{"url", "s3://cache?compression=bzip2"}, "", "", `expected a compression that can be written, got "bzip2"`, exitFailed},
		{"another, for listings", []string{"url", "s3://cache?ls-compression=compress"}, "", "", "compress", exitFailed},
		{"a password", []string{"url", "s3://user:hunter2@cache"}, "", "", "credentials do not belong into the URL", exitFailed},
		{"another scheme", []string{"url", "https://example.org"}, "", "", "s3://", exitFailed},
	})
}
