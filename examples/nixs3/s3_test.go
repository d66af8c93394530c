package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest/fakes3"
)

// fakeURL starts a fake S3 with a bucket and returns the bucket's URL.
func fakeURL(t *testing.T, opts fakes3.Options) string {
	t.Helper()
	cleanAWS(t)
	opts.Buckets = []string{"cache"}
	server, err := fakes3.Start(opts)
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	return "s3://cache/team?endpoint=" + server.Endpoint()
}

// TestS3 takes a path into a bucket and out again.
func TestS3(t *testing.T) {
	t.Run("fake", func(t *testing.T) { testS3(t, fakeURL(t, fakes3.Options{})) })
}

// TestS3Servers is TestS3 on real servers.
func TestS3Servers(t *testing.T) {
	for _, server := range labServers(t) {
		t.Run(server.name, func(t *testing.T) { testS3(t, server.url(t)) })
	}
}

func testS3(t *testing.T, url string) {
	got := nixs3(t, "", "copy", "--from", testCache(t), "--to", url, "--all")
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Contains(t, got.stderr, "3 of 3 paths copied")
	got = nixs3(t, "", "add", "--to", url, "--name", "testdata", "--sign-with", "testdata/lab-cache-1.sec", "testdata")
	require.Equal(t, exitOK, got.exit, got.stderr)
	added := got.stdout

	public, err := os.ReadFile("testdata/lab-cache-1.pub")
	require.NoError(t, err)
	all := nixs3(t, "", "path-info", "--store", url, "--all")
	require.Equal(t, exitOK, all.exit, all.stderr)
	for _, path := range []string{hello + "\n", wrapper + "\n", env + "\n", added} {
		assert.Contains(t, all.stdout, path)
	}
	check(t, []command{
		{"cat", []string{"cat", "--store", url, "--trusted-public-keys", publicKey(t), added[:len(added)-1] + "/lab-cache-1.pub"}, "", string(public), "", exitOK},
		{"ls", []string{"ls", "--store", url, hello + "/bin"}, "", "./hello\n./hi\n./readme-link\n", "", exitOK},
		{"path-info of what is not there", []string{"path-info", "--store", url, absent}, "", "", "has no store path with the hash part 00000000000000000000000000000000\n", exitFailed},
	})
	got = nixs3(t, "", "copy", "--from", testCache(t), "--to", url, "--all")
	assert.Contains(t, got.stderr, "0 of 3 paths copied, 3 there already")
	got = nixs3(t, "", "doctor", url, "--gc")
	assert.Equal(t, exitOK, got.exit, got.stdout)
}

func TestDoctor(t *testing.T) {
	t.Run("all well", func(t *testing.T) {
		url := fakeURL(t, fakes3.Options{})
		got := nixs3(t, "", "doctor", url, "--gc")
		assert.Equal(t, exitOK, got.exit, got.stderr)
		assert.NotContains(t, got.stdout, "FAILED")
		assert.Regexp(t, `(?m)^store an object +ok `, got.stdout)
	})
	t.Run("a reader that may not write", func(t *testing.T) {
		reader := fakes3.Credentials{AccessKey: "READER", SecretKey: "secret", Access: fakes3.ReadAccess}
		url := fakeURL(t, fakes3.Options{Credentials: []fakes3.Credentials{fakes3.DefaultCredentials, reader}})
		require.Equal(t, exitOK, nixs3(t, "", "add", "--to", url, "testdata").exit)
		t.Setenv("AWS_ACCESS_KEY_ID", reader.AccessKey)
		t.Setenv("AWS_SECRET_ACCESS_KEY", reader.SecretKey)
		got := nixs3(t, "", "doctor", url)
		assert.Equal(t, exitOK, got.exit, got.stdout)

		got = nixs3(t, "", "doctor", url, "--write")
		assert.Equal(t, exitFailed, got.exit)
		assert.Regexp(t, `(?m)^store an object +FAILED `, got.stdout)
		assert.Contains(t, got.stdout, "fix: ")
		assert.Contains(t, got.stdout, "s3:PutObject")
		assert.Regexp(t, `^nixs3: \d+ of \d+ steps failed\n$`, got.stderr)
	})
	check(t, []command{
		{"no bucket", []string{"doctor", "s3://"}, "", "", "the bucket is missing", exitFailed},
		{"two kinds of access", []string{"doctor", "--write", "--gc", "s3://cache"}, "", "", "can't be used together", exitUsage},
	})
}
