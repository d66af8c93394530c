package nar_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

// nixTrees is how many random trees are compared with a real Nix, unless
// NIXS3_NIX_TREES says otherwise.
const nixTrees = 20

// A real Nix dumps what we dump, restores what we write to the same tree, and
// we restore what it writes.
func TestRealNixAgreesOnRandomTrees(t *testing.T) {
	nixStore, err := exec.LookPath("nix-store")
	if err != nil {
		t.Skip("needs nix-store")
	}
	count := nixTrees
	if s := os.Getenv("NIXS3_NIX_TREES"); s != "" {
		count, err = strconv.Atoi(s)
		require.NoError(t, err, "NIXS3_NIX_TREES")
	}
	env := append(os.Environ(), "HOME="+t.TempDir(), "NIX_REMOTE=local?root="+t.TempDir())
	run := func(t *testing.T, stdin []byte, args ...string) []byte {
		cmd := exec.Command(nixStore, args...)
		cmd.Env = env
		cmd.Stdin = bytes.NewReader(stdin)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, stderr.String())
		return out
	}
	for seed := range count {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			g := &treeMaker{t: t, Rand: rand.New(rand.NewPCG(uint64(seed), 0))}
			g.node(at("tree"), 0)

			theirs := run(t, nil, "--dump", at("tree"))
			require.Equal(t, string(theirs), dump(t, at("tree")), "Dump")
			require.NoError(t, nar.Restore(bytes.NewReader(theirs), at("ours"), nar.WithStoreMetadata()))
			makeRemovable(t, at("ours"))
			require.Equal(t, string(theirs), string(run(t, nil, "--dump", at("ours"))), "Restore")

			var written bytes.Buffer
			require.NoError(t, rewrite(bytes.NewReader(theirs), &written))
			run(t, written.Bytes(), "--restore", at("theirs"))
			require.Equal(t, string(theirs), dump(t, at("theirs")), "Writer")
		})
	}
}

// treeMaker makes random trees of all that a file system and a NAR can hold.
type treeMaker struct {
	*rand.Rand
	t     testing.TB
	nodes int
}

func (g *treeMaker) node(path string, depth int) {
	g.nodes++
	kind := g.IntN(10)
	switch {
	case depth == 0 && kind < 8, depth > 0 && kind < 4 && g.nodes < 100:
		g.directory(path, depth)
	case kind == 9:
		require.NoError(g.t, os.Symlink(g.target(), path))
	default:
		g.file(path)
	}
}

func (g *treeMaker) directory(path string, depth int) {
	require.NoError(g.t, os.Mkdir(path, 0o755))
	if depth == 0 && g.IntN(4) == 0 { // as deep as can be
		deep := path + strings.Repeat("/d", 1+g.IntN(62))
		require.NoError(g.t, os.MkdirAll(deep, 0o755))
		g.file(deep + "/f")
	}
	if depth > 8 {
		return
	}
	for range g.IntN(12) {
		name := g.name()
		if _, err := os.Lstat(path + "/" + name); err != nil {
			g.node(path+"/"+name, depth+1)
		}
	}
}

func (g *treeMaker) file(path string) {
	size := g.IntN(100)
	switch g.IntN(20) {
	case 0:
		size = 0
	case 1:
		size = 8 * g.IntN(1000)
	case 2:
		size = g.IntN(200_000)
	}
	contents := make([]byte, size)
	for i := range contents {
		contents[i] = byte(g.Uint32())
	}
	require.NoError(g.t, os.WriteFile(path, contents, 0o600))
	// Every mode, as long as we can read it ourselves.
	require.NoError(g.t, os.Chmod(path, os.FileMode(g.IntN(0o1000))|0o400))
}

// name is sometimes ordinary, sometimes any bytes that may be one.
func (g *treeMaker) name() string {
	if g.IntN(3) > 0 {
		return fmt.Sprintf("%c%c%d", 'A'+rune(g.IntN(60)), 'a'+rune(g.IntN(26)), g.IntN(10))
	}
	length := 1 + g.IntN(20)
	if g.IntN(10) == 0 {
		length = 255
	}
	b := make([]byte, length)
	for i := range b {
		for b[i] == 0 || b[i] == '/' {
			b[i] = byte(g.Uint32())
		}
	}
	if s := string(b); s != "." && s != ".." {
		return s
	}
	return "dots"
}

func (g *treeMaker) target() string {
	if g.IntN(2) == 0 {
		return strings.Repeat("../", g.IntN(5)) + g.name()
	}
	return strings.Repeat("long/", 1+g.IntN(700)) + "x"
}

// A listing is what `nix nar ls` prints.
func TestRealNixAgreesOnListings(t *testing.T) {
	nix, err := exec.LookPath("nix")
	if err != nil {
		t.Skip("needs nix")
	}
	env := append(os.Environ(), "HOME="+t.TempDir(), "NIX_REMOTE=local?root="+t.TempDir())
	for name, data := range goldenNARs(t) {
		t.Run(name, func(t *testing.T) {
			l, err := nar.List(bytes.NewReader(data))
			require.NoError(t, err)
			if l.Root.Type != nar.TypeDirectory {
				t.Skip("Nix 2.8 lists directories only")
			}
			for path := range l.All() {
				if !utf8.ValidString(path) {
					t.Skip("JSON has no names that are not UTF-8")
				}
			}
			file := filepath.Join(t.TempDir(), "nar")
			require.NoError(t, os.WriteFile(file, data, 0o600))
			cmd := exec.Command(nix, "--extra-experimental-features", "nix-command", "nar", "ls", "--json", "--recursive", file, "/")
			cmd.Env = env
			cmd.Stderr = io.Discard
			want, err := cmd.Output()
			require.NoError(t, err)
			got, err := l.MarshalJSON()
			require.NoError(t, err)
			text := `{"version":1,"root":` + strings.TrimSpace(string(want)) + `}`
			if strings.HasPrefix(string(want), `{"type"`) {
				assert.Equal(t, text, string(got), "the form of Nix 2.8, to the letter")
				return
			}
			// Newer Nix sorts the keys, and may add defaults.
			var theirs nar.Listing
			require.NoError(t, json.Unmarshal([]byte(text), &theirs))
			again, err := theirs.MarshalJSON()
			require.NoError(t, err)
			assert.Equal(t, string(again), string(got))
		})
	}
}
