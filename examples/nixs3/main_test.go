package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// result is what a command line left behind.
type result struct {
	stdout, stderr string
	exit           int
}

// nixs3 carries out a command line in this process.
func nixs3(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), args, console{stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr})
	return result{stdout.String(), stderr.String(), status}
}

// command is a row of a table of command lines.
type command struct {
	name   string
	args   []string
	stdin  string
	stdout string // all of it
	stderr string // part of it, empty only where nothing may be said
	exit   int
}

func check(t *testing.T, table []command) {
	t.Helper()
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			got := nixs3(t, c.stdin, c.args...)
			assert.Equal(t, c.stdout, got.stdout)
			if c.stderr == "" {
				assert.Empty(t, got.stderr)
			} else {
				assert.Contains(t, got.stderr, c.stderr)
				assert.Equal(t, 1, strings.Count(got.stderr, "\n"), "one sentence: %s", got.stderr)
			}
			assert.Equal(t, c.exit, got.exit)
		})
	}
}

func TestUsage(t *testing.T) {
	check(t, []command{
		{"a word for a command", []string{"upload"}, "", "", `did you mean "copy"?`, exitUsage},
		{"unknown command", []string{"narr"}, "", "", `did you mean "nar"`, exitUsage},
		{"unknown flag", []string{"nar", "dump", "--foo", "x"}, "", "", "see nixs3 nar dump --help", exitUsage},
		{"missing argument", []string{"key", "generate"}, "", "", `expected "<name>"; see nixs3 key generate --help`, exitUsage},
	})
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"", "add", "copy", "fetch", "diff", "du", "log", "log get", "log put", "realisation", "realisation get", "realisation put", "realisation list", "hook", "push", "completion", "man", "version", "path-info", "ls", "cat", "nar", "nar dump", "nar restore", "nar ls", "nar cat", "key", "key generate", "key public", "root", "root set", "root list", "root remove", "gc", "gc list", "gc undo", "stats", "delete", "index", "locate", "url", "doctor", "policy"} {
		t.Run("nixs3 "+args, func(t *testing.T) {
			got := nixs3(t, "", append(strings.Fields(args), "--help")...)
			assert.Equal(t, exitOK, got.exit)
			assert.Contains(t, got.stdout, strings.TrimSpace("Usage: nixs3 "+args))
			assert.Empty(t, got.stderr)
		})
	}
}

func TestHelpAsPeopleAsk(t *testing.T) {
	assert.Equal(t, nixs3(t, "", "--help"), nixs3(t, ""))
	assert.Equal(t, nixs3(t, "", "--help"), nixs3(t, "", "help"))
	assert.Equal(t, nixs3(t, "", "nar", "dump", "--help"), nixs3(t, "", "help", "nar", "dump"))
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, w := io.Pipe() // a standard input on which nothing comes
	defer w.Close()
	target := filepath.Join(t.TempDir(), "target")
	for name, args := range map[string][]string{
		"path-info":   {"path-info", "--store", testCache(t), "--all"},
		"copy":        {"copy", "--from", testCache(t), "--to", fileURL(t, t.TempDir()), "--all"},
		"nar ls":      {"nar", "ls", "-"},
		"nar cat":     {"nar", "cat", "-"},
		"nar restore": {"nar", "restore", target, helloNAR},
		"key public":  {"key", "public"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(ctx, args, console{stdin: silent, stdout: &stdout, stderr: &stderr})
			assert.Equal(t, exitInterrupted, status)
			assert.Equal(t, "nixs3: interrupted\n", stderr.String())
			assert.Empty(t, stdout.String())
		})
	}
	assert.NoDirExists(t, target)
}
