package lab_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/internal/lab"
)

func TestServers(t *testing.T) {
	t.Setenv("NIXS3_TEST_S3", "a=http://127.0.0.1:7070 b-tls=https://127.0.0.1:7071")
	t.Setenv("NIXS3_TEST_S3_CA", "/ca.pem")
	servers := lab.Servers(t)
	require.Equal(t, []lab.Server{
		{Name: "a", Endpoint: "http://127.0.0.1:7070"},
		{Name: "b-tls", Endpoint: "https://127.0.0.1:7071"},
	}, servers)

	first, err := s3url.Parse(servers[1].URL(t))
	require.NoError(t, err)
	second, err := s3url.Parse(servers[1].URL(t) + "&compression=xz")
	require.NoError(t, err)
	assert.Equal(t, lab.Bucket, first.Bucket)
	assert.Equal(t, servers[1].Endpoint, first.Endpoint)
	assert.NotEqual(t, first.Prefix, second.Prefix)
	assert.Equal(t, "xz", second.Rest.Get("compression"))
	assert.Equal(t, lab.AccessKey, os.Getenv("AWS_ACCESS_KEY_ID"))
	assert.Equal(t, "/ca.pem", os.Getenv("AWS_CA_BUNDLE"))
}
