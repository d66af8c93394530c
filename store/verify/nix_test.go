package verify_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/verify"
)

// Bits of the exit status of nix store verify.
const (
	nixCorrupted = 1
	nixUntrusted = 2
	nixFailed    = 4
)

// TestNixAgrees compares Check with nix store verify, which looks at NarHash
// and signatures, and fails where it cannot read what it needs for that.
func TestNixAgrees(t *testing.T) {
	nix := lab.NewNix(t)
	seen := map[int]bool{}
	names := []string{
		"archive first byte flipped", "archive middle byte flipped", "archive cut in half", "archive emptied", "archive zeros",
		"archive deleted", "archives swapped", "archive of another path", "a bomb",
		"NarHash of another", "no signature", "a signature by an unknown key", "a signature of another path",
		"content address of another", "a reference that was dropped", "URL that leads nowhere",
		"listing deleted", "orphaned archive", "a reference that is missing",
	}
	all := append(mutants(), mutant{name: "sound", mutate: func(testing.TB, blob.Bucket) {}})
	for _, m := range all {
		if m.name != "sound" && !slices.Contains(names, m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			c := corpusCache(t, "zstd")
			m.mutate(t, c.Bucket())
			dir := t.TempDir()
			for key, data := range contentsOf(t, c.Bucket()) {
				file := filepath.Join(dir, filepath.FromSlash(key))
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, []byte(data), 0o644))
			}
			nix.ForgetCaches()
			r := nix.Try("nix", "store", "verify", "--store", "file://"+dir, "--all", "--trusted-public-keys", lab.PublicKey(t))
			seen[r.Exit] = true

			corrupted, untrusted := false, false
			for _, f := range check(t, c, verify.Options{Depth: verify.Contents, TrustedKeys: corpusKeys(t)}) {
				switch f.Kind {
				case verify.ArchiveMissing, verify.ArchiveSize, verify.ArchiveFileHash, verify.ArchiveNarHash, verify.ArchiveNarSize, verify.ArchiveUnreadable:
					corrupted = true
				case verify.Untrusted:
					untrusted = true
				}
			}
			require.Equal(t, r.Exit&nixUntrusted != 0, untrusted, "exit status %d: %s", r.Exit, r.Stderr)
			require.Equal(t, r.Exit&(nixCorrupted|nixFailed) != 0, corrupted, "exit status %d: %s", r.Exit, r.Stderr)
		})
	}
	for _, status := range []int{0, nixCorrupted, nixUntrusted} {
		require.True(t, seen[status], "no mutant makes Nix exit with %d", status)
	}
}
