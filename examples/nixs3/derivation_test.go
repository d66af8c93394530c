package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDerivationsNix copies what a derivation has built, and the derivation
// itself.
func TestDerivationsNix(t *testing.T) {
	nix := newNix(t)
	expr := `derivation { name = "two"; system = builtins.currentSystem; outputs = [ "out" "dev" ]; builder = "/bin/sh"; args = [ "-c" "echo $dev > $out; echo > $dev" ]; }`
	drv := nix.run("nix-instantiate", "--expr", expr)
	out := nix.run("nix-store", "--realise", drv+"!out")
	dev := nix.run("nix-store", "--realise", drv+"!dev")
	plain := nix.run("nix-store", "--add", filepath.Join(nix.dir, "conf"))
	from := "local?root=" + nix.root()
	plan := func(args ...string) []string {
		return append([]string{"copy", "--quiet", "--dry-run", "--no-closure", "--from", from, "--to", filepath.Join(t.TempDir(), "cache")}, args...)
	}
	check(t, []command{
		{"the derivation", plan(drv), "", drv + "\n", "", exitOK},
		{"one output", plan(drv + "^dev"), "", dev + "\n", "", exitOK},
		{"its deriver", plan("--derivation", out), "", drv + "\n", "", exitOK},
		{"the derivation is its own", plan("--derivation", drv), "", drv + "\n", "", exitOK},
		{"no such output", plan(drv + "^doc"), "", "", `expected dev or out, got "doc"`, exitFailed},
		{"an output of what is not a derivation", plan(out + "^out"), "", "", "expected a derivation before the ^", exitFailed},
		{"not there", plan(absent + ".drv^*"), "", "", "not found", exitFailed},
		{"derivation and all", plan("--derivation", "--all"), "", "", "--derivation: expected store paths, got --all", exitFailed},
		{"of a cache", []string{"copy", "--from", testCache(t), "--to", t.TempDir(), hello + ".drv^*"}, "", "", "a cache does not list", exitFailed},
		{"no deriver", plan("--derivation", plain), "", "", "does not know the derivation that built it", exitFailed},
	})
	for name, args := range map[string][]string{"all outputs": {drv + "^*"}, "by name": {drv + "^out,dev"}} {
		got := nixs3(t, "", plan(args...)...)
		require.Equal(t, exitOK, got.exit, got.stderr)
		assert.ElementsMatch(t, []string{out, dev}, strings.Fields(got.stdout), name)
	}
}

// TestCopyDerivationsNix copies derivations and outputs to a cache, from which
// another Nix takes them: it builds a derivation, and substitutes outputs.
func TestCopyDerivationsNix(t *testing.T) {
	const expr = `let
		lib = derivation { name = "lib"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo lib > $out" ]; };
	in derivation { name = "two"; system = builtins.currentSystem; outputs = [ "out" "dev" ]; builder = "/bin/sh"; args = [ "-c" "echo ${lib} > $out; echo $out > $dev" ]; }`
	nix := newNix(t)
	drv := nix.run("nix-instantiate", "--expr", expr)
	out := nix.run("nix-store", "--realise", drv+"!out")
	dev := nix.run("nix-store", "--realise", drv+"!dev")
	for _, tt := range []struct {
		name    string
		args    []string
		summary string
		wanted  []string // from the other Nix, which builds only a derivation
	}{
		{"all outputs", []string{drv + "^*"}, "3 of 3 paths copied", []string{out, dev}},
		{"an output", []string{drv + "^out"}, "2 of 2 paths copied", []string{out}},
		{"the derivation of an output", []string{"--derivation", dev}, "2 of 2 paths copied", []string{drv + "!out"}},
		{"the derivation of all outputs", []string{"--derivation", drv + "^*"}, "2 of 2 paths copied", []string{drv + "!out"}},
		{"the derivation", []string{drv}, "2 of 2 paths copied", []string{drv + "!out"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cache := fileURL(t, filepath.Join(t.TempDir(), "cache"))
			got := nixs3(t, "", append([]string{"copy", "--from", "local?root=" + nix.root(), "--to", cache}, tt.args...)...)
			require.Equal(t, exitOK, got.exit, got.stderr)
			assert.Contains(t, got.stderr, tt.summary)

			other := newNix(t)
			for _, wanted := range tt.wanted {
				realise := []string{"nix-store", "--realise", wanted, "--option", "require-sigs", "false", "--option", "substituters", cache}
				if wanted != drv+"!out" {
					realise = append(realise, "--option", "max-jobs", "0")
				}
				assert.FileExists(t, other.physical(other.run(realise...)))
			}
		})
	}
}
