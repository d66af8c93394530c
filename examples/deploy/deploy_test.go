// Package deploy checks the files of this folder with what can check them.
package deploy

import (
	"bytes"
	"encoding/json"
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
	for name, file := range map[string]string{
		"nixs3-serve.service": "serve.go", "module.nix": "serve.go", "kubernetes.yaml": "serve.go",
		"Dockerfile": "serve.go", "github-actions.yaml": "serve.go",
		"nixs3-push.service": "push.go", "push.nix": "push.go",
	} {
		source, err := os.ReadFile("../nixs3/" + file)
		require.NoError(t, err)
		fields := strings.ToLower(string(source))
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, "nixs3 serve") && !strings.Contains(line, "nixs3 push") && !strings.Contains(line, "- --") && !strings.Contains(line, "CMD") {
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
	for _, name := range []string{"nixs3-serve.service", "nixs3-serve.socket", "nixs3-push.service"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		// The program is not installed here.
		text = bytes.ReplaceAll(text, []byte("/usr/bin/nixs3"), []byte("/bin/sh"))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	for _, name := range []string{"nixs3-serve", "nixs3-push"} {
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(dir, name+".service")).CombinedOutput()
		require.NoError(t, err, string(out))
		require.NotContains(t, string(out), name, "warnings")
	}
}

func TestNixOSModules(t *testing.T) {
	if _, err := exec.LookPath("nix-instantiate"); err != nil {
		missing(t, "nix-instantiate is not installed")
	}
	for _, name := range []string{"module.nix", "push.nix"} {
		cmd := exec.Command("nix-instantiate", "--parse", name)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "NIX_REMOTE=dummy://", "NIX_CONF_DIR="+t.TempDir(), "NIX_STATE_DIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
	}
}

// TestDockerfile reads the instructions, and runs the build of the first stage
// and the command of the second, since there is nothing here to build an image.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	module, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
	require.Contains(t, string(text), "FROM golang:"+string(version[1])+" AS build\n")
	stages := map[string]bool{}
	var build string
	command := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "", "#", "WORKDIR", "USER", "EXPOSE":
		case "FROM":
			if fields := strings.Fields(rest); len(fields) == 3 && fields[1] == "AS" {
				stages[fields[2]] = true
			}
		case "COPY":
			if from, ok := strings.CutPrefix(rest, "--from="); ok {
				stage, _, _ := strings.Cut(from, " ")
				require.True(t, stages[stage], line)
			}
		case "RUN":
			if rest != "go mod download" {
				build = rest
			}
		case "ENTRYPOINT", "CMD":
			var args []string
			require.NoError(t, json.Unmarshal([]byte(rest), &args), line)
			command[name] = args
		default:
			require.Fail(t, "unknown instruction", line)
		}
	}
	require.NotEmpty(t, build)
	if os.Getenv("NIXS3_REQUIRE") != "1" {
		t.Skip("the build takes a minute: NIXS3_REQUIRE is not 1")
	}
	out := t.TempDir()
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(build, "/out/", out+"/"))
	cmd.Dir = "../.."
	printed, err := cmd.CombinedOutput()
	require.NoError(t, err, string(printed))
	args := append(append([]string{}, command["ENTRYPOINT"]...), command["CMD"]...)
	printed, err = exec.Command(out+args[0], append(args[1:], "--help")...).CombinedOutput()
	require.NoError(t, err, string(printed))
}
