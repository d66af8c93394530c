package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// TestJSONResults parses what the commands print for programs, and nothing else.
func TestJSONResults(t *testing.T) {
	cleanAWS(t)
	server := storetest.NewS3(t, fakes3.Options{Buckets: []string{"bucket"}})
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	s3 := "s3://bucket?endpoint=" + server.Endpoint()
	dir := t.TempDir()
	cache, mirror, key := filepath.Join(dir, "cache"), filepath.Join(dir, "mirror"), filepath.Join(dir, "key")
	require.NoError(t, os.CopyFS(cache, os.DirFS("testdata/cache")))
	require.NoError(t, os.WriteFile(key, []byte(nixs3(t, "", "key", "generate", "json-1").stdout), 0o600))
	for _, tt := range []struct {
		args []string
		exit int
		want string // a member of the result
	}{
		{[]string{"sign", "--store", cache, "--all", "--key", key}, exitOK, "changed"},
		{[]string{"mirror", "--from", cache, "--to", mirror}, exitOK, "changed"},
		{[]string{"repair", "--store", mirror, "--from", cache}, exitOK, "paths"},
		{[]string{"url", "s3://bucket/prefix?region=eu-west-1"}, exitOK, "nixCacheInfo"},
		{[]string{"doctor", s3, "--write"}, exitOK, ""},
		{[]string{"doctor", "s3://none?endpoint=" + server.Endpoint()}, exitFailed, ""},
	} {
		t.Run(tt.args[0], func(t *testing.T) {
			got := nixs3(t, "", append(tt.args, "--json")...)
			require.Equal(t, tt.exit, got.exit, got.stderr)
			if tt.want == "" {
				var steps []map[string]any
				require.NoError(t, json.Unmarshal([]byte(got.stdout), &steps), got.stdout)
				require.NotEmpty(t, steps)
				assert.Contains(t, steps[0], "ok")
				return
			}
			var result map[string]any
			require.NoError(t, json.Unmarshal([]byte(got.stdout), &result), got.stdout)
			assert.Contains(t, result, tt.want)
		})
	}
	got := nixs3(t, "", "sign", "--store", cache, "--all", "--key", key, "--json", "--purge", "https://cdn")
	assert.Equal(t, exitUsage, got.exit)
}
