package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestComplete(t *testing.T) {
	for _, tt := range []struct {
		line      string
		want, not []string
	}{
		{"", []string{"add", "copy", "nar"}, []string{"complete", "--all"}},
		{"co", []string{"completion", "copy"}, []string{"add", "complete"}},
		{"nar ", []string{"cat", "dump", "ls", "restore"}, []string{"copy"}},
		{"nar d", []string{"dump"}, []string{"ls"}},
		{"copy --tr", []string{"--trusted-public-keys"}, []string{"--to"}},
		{"copy --to x --", []string{"--all", "--dry-run", "--verbose"}, []string{"--store"}},
	} {
		got := nixs3(t, "", append([]string{"complete", "--"}, strings.Split(tt.line, " ")...)...)
		assert.Equal(t, exitOK, got.exit, got.stderr)
		words := strings.Fields(got.stdout)
		for _, word := range tt.want {
			assert.Contains(t, words, word, tt.line)
		}
		for _, word := range tt.not {
			assert.NotContains(t, words, word, tt.line)
		}
	}
	assert.Empty(t, nixs3(t, "", "complete", "--", "copy", "").stdout)
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
