// Package nixlab lets a test work with the real Nix that is installed on the
// machine, to prove that both read what the other writes.
//
// Every [Nix] has a store, a configuration and a home of its own in a scratch
// folder of the test. It needs neither root nor a daemon, never touches /nix
// or the user's settings, and knows no substituter. Store paths are those of
// /nix/store; where their files really lie is what [Nix.Physical] tells.
//
// A test whose machine has no Nix is skipped, or fails where the environment
// variable NIXS3_REQUIRE is 1, so that a run meant to prove something cannot
// pass by skipping.
package nixlab

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

	"example.com/nixs3/store/storetest/internal/need"
)

// Nix is an installation of Nix with a scratch store. Its commands may run at
// the same time.
type Nix struct {
	// Dir is the scratch folder, for whatever else the test wants to keep
	// away from the rest.
	Dir string

	t   testing.TB
	env []string
}

// New returns a Nix with an empty store that is removed when the test ends.
func New(t testing.TB) *Nix {
	t.Helper()
	for _, program := range []string{"nix", "nix-store", "nix-build"} {
		if _, err := exec.LookPath(program); err != nil {
			need.Missing(t, program+" is not installed")
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
	// A builder sees nothing but what is named here: the shell and the tools
	// of the system, since no package of a Nix store is at hand.
	if _, err := os.Stat("/usr/bin/dash"); err == nil && runtime.GOOS == "linux" {
		lines = append(lines, "sandbox = true", "sandbox-paths = /bin/sh=/usr/bin/dash /lib /lib64 /usr/lib /usr/bin")
	} else {
		lines = append(lines, "sandbox = false")
	}
	return strings.Join(lines, "\n") + "\n"
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

// Physical returns where the files of a store path lie.
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

// Result is what a command left behind.
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

// ForgetCaches makes Nix ask every binary cache anew: it remembers for hours
// what a cache had and had not.
func (n *Nix) ForgetCaches() {
	n.t.Helper()
	if err := os.RemoveAll(filepath.Join(n.cacheDir(), "nix")); err != nil {
		n.t.Fatal(err)
	}
}

// GenerateKey lets Nix make a signing key. It returns the file of the secret
// key and the text of the public one.
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

// makeRemovable gives the folders of the store, which Nix makes read-only,
// back to whoever removes the scratch folder.
func makeRemovable(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o755)
		}
		return nil
	})
}
