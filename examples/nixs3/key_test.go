package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKeyPublic(t *testing.T) {
	secret, err := os.ReadFile("testdata/lab-cache-1.sec")
	require.NoError(t, err)
	public, err := os.ReadFile("testdata/lab-cache-1.pub")
	require.NoError(t, err)
	check(t, []command{
		{"of a key that Nix made", []string{"key", "public"}, string(secret), string(public) + "\n", "", exitOK},
		{"followed by a newline", []string{"key", "public"}, string(secret) + "\n", string(public) + "\n", "", exitOK},
		{"of nothing", []string{"key", "public"}, "", "", "expected <name>:<base64>", exitFailed},
		{"of a public key", []string{"key", "public"}, string(public), "", "characters of base64, expected 88", exitFailed},
	})
}

func TestKeyGenerate(t *testing.T) {
	secret := nixs3(t, "", "key", "generate", "cache.example.org-1")
	require.Equal(t, exitOK, secret.exit, secret.stderr)
	assert.Regexp(t, regexp.MustCompile(`^cache\.example\.org-1:[A-Za-z0-9+/]{86}==\n$`), secret.stdout)

	public := nixs3(t, secret.stdout, "key", "public")
	require.Equal(t, exitOK, public.exit, public.stderr)
	assert.Regexp(t, regexp.MustCompile(`^cache\.example\.org-1:[A-Za-z0-9+/]{43}=\n$`), public.stdout)

	check(t, []command{
		{"a name with a colon", []string{"key", "generate", "a:b"}, "", "", "key", exitFailed},
	})
}
