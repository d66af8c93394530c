package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestComplete(t *testing.T) {
	for line, want := range map[string]string{
		"":               "add cat completion copy",
		"co":             "completion copy",
		"nar ":           "cat dump ls restore",
		"nar d":          "dump",
		"copy --trusted": "--trusted-public-keys",
		"copy --to x --": "--all --derivation",
		"copy ":          "",
		"complet":        "completion",
	} {
		got := nixs3(t, "", append([]string{"complete", "--"}, strings.Split(line, " ")...)...)
		assert.Equal(t, exitOK, got.exit, got.stderr)
		assert.Equal(t, want, strings.Join(strings.Fields(got.stdout)[:min(len(strings.Fields(got.stdout)), len(strings.Fields(want)))], " "), line)
		if want == "" {
			assert.Empty(t, got.stdout, line)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := nixs3(t, "", "completion", shell)
		assert.Equal(t, exitOK, got.exit)
		assert.Contains(t, got.stdout, "nixs3 complete --")
	}
	assert.Equal(t, exitUsage, nixs3(t, "", "completion", "tcsh").exit)
}

func TestMan(t *testing.T) {
	got := nixs3(t, "", "man")
	assert.Equal(t, exitOK, got.exit)
	assert.Contains(t, got.stdout, ".TH NIXS3 1")
	assert.Contains(t, got.stdout, "path-info")
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		got := nixs3(t, "", args...)
		assert.Equal(t, exitOK, got.exit)
		assert.Regexp(t, `^nixs3 \S+.* go1\.\d+`, got.stdout)
	}
}
