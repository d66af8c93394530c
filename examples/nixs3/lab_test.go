package main

import (
	"crypto/rand"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The packages' tests have the same in store/internal/lab, which programs
// cannot import.

// missing skips the test, or fails it if NIXS3_REQUIRE is 1.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("NIXS3_REQUIRE") == "1" {
		t.Fatal(what + ", and NIXS3_REQUIRE=1 requires it")
	}
	t.Skip(what)
}

// labServer is a real S3 server that .ci/lab started.
type labServer struct{ name, endpoint string }

func labServers(t *testing.T) (servers []labServer) {
	t.Helper()
	for entry := range strings.FieldsSeq(os.Getenv("NIXS3_TEST_S3")) {
		name, endpoint, ok := strings.Cut(entry, "=")
		require.True(t, ok, "expected name=URL in NIXS3_TEST_S3, got %q", entry)
		servers = append(servers, labServer{name, endpoint})
	}
	if len(servers) == 0 {
		missing(t, "no S3 servers in NIXS3_TEST_S3; .ci/lab starts some")
	}
	return servers
}

// url returns the URL of an empty part of the server's bucket, and sets the
// environment so that it can be opened.
func (s labServer) url(t *testing.T) string {
	t.Helper()
	cleanAWS(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "lab")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "labsecret123")
	t.Setenv("AWS_CA_BUNDLE", os.Getenv("NIXS3_TEST_S3_CA"))
	return "s3://nixs3/" + rand.Text() + "?region=us-east-1&endpoint=" + url.QueryEscape(s.endpoint)
}

// scratchNix is the Nix of the machine with an empty store in a folder of the
// test.
type scratchNix struct {
	t   *testing.T
	dir string
}

func newNix(t *testing.T) scratchNix {
	t.Helper()
	for _, program := range []string{"nix", "nix-build"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program+" is not installed")
		}
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, sub := range []string{"conf", "root"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	conf := "experimental-features = nix-command\nbuild-users-group =\nsubstituters =\n" +
		"sandbox = true\nsandbox-paths = /bin/sh=/usr/bin/dash /lib /lib64 /usr/lib /usr/bin"
	if _, err := os.Stat("/usr/lib64"); err == nil { // which /lib64 links to
		conf += " /usr/lib64"
	}
	conf += "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "conf", "nix.conf"), []byte(conf), 0o644))
	t.Cleanup(func() { // Nix makes folders read-only
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o755)
			}
			return nil
		})
	})
	return scratchNix{t, dir}
}

func (n scratchNix) root() string { return filepath.Join(n.dir, "root") }

// physical returns the place of a store path's files.
func (n scratchNix) physical(storePath string) string { return filepath.Join(n.root(), storePath) }

// run runs a command that must succeed, and returns its output without the last
// newline.
func (n scratchNix) run(args ...string) string {
	n.t.Helper()
	return n.runWith("", args...)
}

func (n scratchNix) runWith(stdin string, args ...string) string {
	n.t.Helper()
	cmd := n.cmd(args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(n.t, err, "%s\n%s", args, stderr.String())
	return strings.TrimSuffix(string(out), "\n")
}

// cmd returns a command in the folder of the test, to which Nix is the scratch
// one.
func (n scratchNix) cmd(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(n.t.Context(), args[0], args[1:]...)
	cmd.Dir = n.dir
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "NIX_") && !strings.HasPrefix(kv, "XDG_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+n.dir, "NIX_CONF_DIR="+filepath.Join(n.dir, "conf"),
		"NIX_USER_CONF_FILES="+os.DevNull, "NIX_REMOTE=local?root="+n.root())
	return cmd
}

// generateKey returns the file of a new secret key and the text of the public
// key.
func (n scratchNix) generateKey(name string) (secretFile, publicKey string) {
	n.t.Helper()
	secret := n.run("nix", "key", "generate-secret", "--key-name", name)
	secretFile = filepath.Join(n.dir, name+".sec")
	require.NoError(n.t, os.WriteFile(secretFile, []byte(secret), 0o600))
	return secretFile, n.runWith(secret, "nix", "key", "convert-secret-to-public")
}
