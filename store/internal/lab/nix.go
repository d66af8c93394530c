package lab

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Nix is the Nix that is installed on the machine, with a store, a
// configuration and a home of its own in a scratch folder. It needs neither
// root nor a daemon, never touches /nix or the user's settings, and has no
// substituters. Store paths are those of /nix/store; Physical returns where
// their files are. Its commands may run at the same time.
type Nix struct {
	// Dir is the scratch folder. The test may keep other files in it.
	Dir string

	t   testing.TB
	env []string
}

// NewNix returns a Nix with an empty store that is removed when the test ends.
// It skips the test on a machine without Nix, as Missing does.
func NewNix(t testing.TB) *Nix {
	t.Helper()
	for _, program := range []string{"nix", "nix-store", "nix-build"} {
		if _, err := exec.LookPath(program); err != nil {
			Missing(t, program+" is not installed")
		}
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n := &Nix{Dir: dir, t: t}
	n.env = n.environ()
	for _, sub := range []string{"conf", "home", "root"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "conf", "nix.conf"), []byte(conf()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { makeRemovable(dir) })
	return n
}

func conf() string {
	lines := []string{
		"experimental-features = nix-command flakes ca-derivations",
		"build-users-group =",
		"substituters =",
	}
	// A builder sees only what is named here: the shell and the tools of the
	// system, since there is no package of a Nix store.
	if exists("/usr/bin/dash") && runtime.GOOS == "linux" {
		paths := "sandbox-paths = /bin/sh=/usr/bin/dash /lib /lib64 /usr/lib /usr/bin"
		if exists("/usr/lib64") { // which /lib64 links to
			paths += " /usr/lib64"
		}
		lines = append(lines, "sandbox = true", paths)
	} else {
		lines = append(lines, "sandbox = false")
	}
	return strings.Join(lines, "\n") + "\n"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// environ is the caller's environment without its own Nix settings.
func (n *Nix) environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "NIX_") && !strings.HasPrefix(kv, "XDG_") {
			env = append(env, kv)
		}
	}
	home := filepath.Join(n.Dir, "home")
	return append(env,
		"HOME="+home,
		"XDG_CACHE_HOME="+n.cacheDir(),
		"NIX_CONF_DIR="+filepath.Join(n.Dir, "conf"),
		"NIX_USER_CONF_FILES="+os.DevNull,
		"NIX_REMOTE=local?root="+n.Root(),
		// Caches of tests are on the loopback interface.
		"NO_PROXY=localhost,127.0.0.1", "no_proxy=localhost,127.0.0.1",
	)
}

func (n *Nix) cacheDir() string { return filepath.Join(n.Dir, "home", ".cache") }

// Root is the folder that stands for / in the scratch store: its database is
// Root()/nix/var/nix/db/db.sqlite.
func (n *Nix) Root() string { return filepath.Join(n.Dir, "root") }

// Physical returns the place of a store path's files.
func (n *Nix) Physical(storePath string) string {
	return filepath.Join(n.Root(), filepath.FromSlash(storePath))
}

// Cmd returns a command, such as "nix-store" "--dump" and a path, that works
// on the scratch store and is killed when the test ends.
func (n *Nix) Cmd(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(n.t.Context(), args[0], args[1:]...)
	cmd.Env = n.env
	cmd.Dir = n.Dir
	return cmd
}

// Result is the output of a command and its exit status.
type Result struct {
	Stdout, Stderr string
	Exit           int
}

// Try runs a command that may fail.
func (n *Nix) Try(args ...string) Result {
	n.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := n.Cmd(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		n.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Exit: cmd.ProcessState.ExitCode()}
}

// Run runs a command, fails the test when the command fails, and returns what
// it printed, without the last newline.
func (n *Nix) Run(args ...string) string {
	n.t.Helper()
	r := n.Try(args...)
	if r.Exit != 0 {
		n.t.Fatalf("%s: exit status %d\n%s", strings.Join(args, " "), r.Exit, r.Stderr)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// ForgetCaches makes Nix ask every binary cache again: otherwise it remembers
// for hours what a cache has and lacks.
func (n *Nix) ForgetCaches() {
	n.t.Helper()
	if err := os.RemoveAll(filepath.Join(n.cacheDir(), "nix")); err != nil {
		n.t.Fatal(err)
	}
}

// GenerateKey has Nix make a signing key. It returns the file of the secret key
// and the text of the public key.
func (n *Nix) GenerateKey(name string) (secretFile, publicKey string) {
	n.t.Helper()
	secret := n.Run("nix", "key", "generate-secret", "--key-name", name)
	secretFile = filepath.Join(n.Dir, name+".sec")
	if err := os.WriteFile(secretFile, []byte(secret), 0o600); err != nil {
		n.t.Fatal(err)
	}
	cmd := n.Cmd("nix", "key", "convert-secret-to-public")
	cmd.Stdin = strings.NewReader(secret)
	public, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("nix key convert-secret-to-public: %v", err)
	}
	return secretFile, strings.TrimSpace(string(public))
}

// makeRemovable makes the folders of the store writable, which Nix makes
// read-only, so that the scratch folder can be removed.
func makeRemovable(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o755)
		}
		return nil
	})
}
