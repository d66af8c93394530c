package narinfo_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
)

// nix runs a real Nix with all its state in a temporary folder.
func nix(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	program, err := exec.LookPath("nix")
	if err != nil {
		t.Skip("there is no nix in PATH")
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"--extra-experimental-features", "nix-command"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home, "NIX_CONF_DIR="+home, "NIX_USER_CONF_FILES="+os.DevNull, "NIX_REMOTE=local?root="+home)
	cmd.Stdin = bytes.NewBufferString(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	t.Logf("nix %q: %v\n%s", args, err, stderr.String())
	return string(out), err
}

func TestNixReadsOurKeys(t *testing.T) {
	key, err := narinfo.GenerateKey("cache.example.org-1", nil)
	require.NoError(t, err)
	public, err := nix(t, key.Reveal(), "key", "convert-secret-to-public")
	require.NoError(t, err)
	assert.Equal(t, key.Public().String(), public)

	text, err := nix(t, "", "key", "generate-secret", "--key-name", "cache.example.org-2")
	require.NoError(t, err)
	theirs, err := narinfo.ParseSecretKey(text)
	require.NoError(t, err)
	assert.Equal(t, "cache.example.org-2", theirs.KeyName())
}

// TestNixVerifiesOurSignatures has a real Nix check the signatures of a cache
// that this package wrote and that has no archives.
func TestNixVerifiesOurSignatures(t *testing.T) {
	key, err := narinfo.GenerateKey("cache.example.org-1", nil)
	require.NoError(t, err)
	n := narInfoWith(t, 50)
	n.Signatures = nil
	rand.Shuffle(len(n.References), func(i, j int) { n.References[i], n.References[j] = n.References[j], n.References[i] })
	require.NoError(t, n.Sign(t.Context(), key))

	dir := t.TempDir()
	write := func(name string, text []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	cacheInfo, err := (&narinfo.CacheInfo{StoreDir: n.StoreDir, Priority: new(30)}).MarshalText()
	require.NoError(t, err)
	write("nix-cache-info", cacheInfo)
	verify := func() error {
		text, err := n.MarshalText()
		require.NoError(t, err)
		write(n.Path.HashPart()+".narinfo", text)
		_, err = nix(t, "", "store", "verify", "--no-contents", "--all",
			"--store", "file://"+dir, "--option", "trusted-public-keys", key.Public().String())
		return err
	}
	require.NoError(t, verify())
	n.NarSize++
	var exit *exec.ExitError
	require.ErrorAs(t, verify(), &exit)
	assert.Equal(t, 2, exit.ExitCode(), "untrusted")
}
