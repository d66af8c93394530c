// Package deploy checks the files of this folder with what can check them.
package deploy

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/stretchr/testify/require"
)

// missing skips a test because the machine lacks something, unless the run has
// to prove everything.
func missing(t *testing.T, what string) {
	if os.Getenv("NIXS3_REQUIRE") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func TestYAML(t *testing.T) {
	for name, documents := range map[string]int{"kubernetes.yaml": 2, "github-actions.yaml": 1, "gitlab-ci.yaml": 1} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		n := 0
		for d := yaml.NewDecoder(bytes.NewReader(text)); ; n++ {
			var v map[string]any
			if err := d.Decode(&v); err == io.EOF {
				break
			} else {
				require.NoError(t, err, name)
			}
		}
		require.Equal(t, documents, n, name)
	}
}

// TestFlags looks for every flag in the command's source, so that no file here
// names one that is gone.
func TestFlags(t *testing.T) {
	source, err := os.ReadFile("../nixs3/serve.go")
	require.NoError(t, err)
	fields := strings.ToLower(string(source))
	for _, name := range []string{"nixs3-serve.service", "module.nix", "kubernetes.yaml", "Dockerfile", "github-actions.yaml"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, "nixs3 serve") && !strings.Contains(line, "- --") && !strings.Contains(line, "CMD") {
				continue
			}
			for _, m := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(line, -1) {
				require.Contains(t, fields, strings.ReplaceAll(m[1], "-", ""), "%s: %s", name, line)
			}
		}
	}
}

func TestSystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		missing(t, "systemd-analyze is not installed")
	}
	dir := t.TempDir()
	for _, name := range []string{"nixs3-serve.service", "nixs3-serve.socket"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		// The program is not installed here.
		text = bytes.ReplaceAll(text, []byte("/usr/bin/nixs3"), []byte("/bin/sh"))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(dir, "nixs3-serve.service")).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NotContains(t, string(out), "nixs3-serve", "warnings")
}

func TestNixOSModule(t *testing.T) {
	if _, err := exec.LookPath("nix-instantiate"); err != nil {
		missing(t, "nix-instantiate is not installed")
	}
	cmd := exec.Command("nix-instantiate", "--parse", "module.nix")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "NIX_REMOTE=dummy://", "NIX_CONF_DIR="+t.TempDir(), "NIX_STATE_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}
