package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
)

// newKeyFile writes a new secret key to a file, and returns its public key too.
func newKeyFile(t *testing.T, name string) (file, public string) {
	t.Helper()
	key, err := narinfo.GenerateKey(name, nil)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(key.Reveal()), 0o600))
	return file, key.Public().String()
}

func TestSign(t *testing.T) {
	dir := copyOfCache(t)
	store := fileURL(t, dir)
	file, public := newKeyFile(t, "new-1")

	got := nixs3(t, "", "sign", "--store", store, "--all", "--key", file, "--if-signed-by", publicKey(t), "--remove-key", "lab-cache-1",
		"--purge", "https://cdn.example.org/cache/")
	require.Equal(t, exitOK, got.exit, got.stderr)
	assert.Contains(t, got.stderr, "3 paths signed")
	assert.Equal(t, 3, strings.Count(got.stdout, "\n"))
	assert.Contains(t, got.stdout, "https://cdn.example.org/cache/"+filepath.Base(hello)[:32]+".narinfo\n")
	assert.Equal(t, exitOK, nixs3(t, "", "verify", "--store", store, "--trusted-public-keys", public).exit)
	assert.Equal(t, exitFailed, nixs3(t, "", "verify", "--store", store, "--trusted-public-keys", publicKey(t)).exit)

	got = nixs3(t, "", "sign", "--store", store, hello, "--key", file)
	assert.Contains(t, got.stderr, "0 paths signed, 1 unchanged")
	got = nixs3(t, "", "sign", "--store", store, hello, "--remove-key", "new-1", "--dry-run")
	assert.Contains(t, got.stderr, "1 paths to be signed")
	got = nixs3(t, "", "sign", "--store", store, absent, hello, "--key", file)
	assert.Equal(t, exitFailed, got.exit)
	got = nixs3(t, "", "sign", "--store", store, hello, "--key", file, "--if-signed-by", publicKey(t))
	assert.Contains(t, got.stderr, "1 skipped")

	for name, args := range map[string][]string{
		"neither key":  {hello},
		"no path":      {"--key", file},
		"all and path": {"--all", hello, "--key", file},
	} {
		assert.Equal(t, exitUsage, nixs3(t, "", append([]string{"sign", "--store", store}, args...)...).exit, name)
	}
}
