package store_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/localstore"
)

// BenchmarkAgainstNix measures adding to and fetching from a file:// cache
// against "nix copy" of a real Nix, taking turns, and prints a table. It wants
// the trees to measure with, separated by colons, and a memory disk for its
// scratch files:
//
//	TMPDIR=/dev/shm NIXS3_COMPARE=/tree/of/small/files:/tree/of/big/files go test -run xxx -bench AgainstNix -timeout 1h ./store
//
// NIXS3_COMPARE_WITH lists settings, by default none and zstd.
func BenchmarkAgainstNix(t *testing.B) {
	trees := filepath.SplitList(os.Getenv("NIXS3_COMPARE"))
	if len(trees) == 0 {
		t.Skip("NIXS3_COMPARE names no trees to measure with")
	}
	queries := []string{"compression=none", "compression=zstd&parallel-compression=true"}
	if with := os.Getenv("NIXS3_COMPARE_WITH"); with != "" {
		queries = filepath.SplitList(with)
	}
	for _, tree := range trees {
		nix := lab.NewNix(t)
		full := nix.Run("nix", "store", "add-path", tree, "--name", "tree")
		p, err := storepath.Default.Parse(full)
		require.NoError(t, err)
		src, err := localstore.Open(t.Context(), localstore.Options{Root: nix.Root()})
		require.NoError(t, err)
		defer src.Close()
		info, err := src.PathInfo(t.Context(), p)
		require.NoError(t, err)
		for _, query := range queries {
			compareWithNix(t, nix, src, info, query)
		}
	}
}

const compareRounds = 3

func compareWithNix(t *testing.B, nix *lab.Nix, src store.Source, info *narinfo.PathInfo, query string) {
	full := storepath.Default.Join(info.Path)
	var theirsTo, oursTo, theirsFrom, oursFrom []time.Duration
	var theirSize, ourSize int64
	for range compareRounds {
		scratch := t.TempDir()
		theirs, ours := filepath.Join(scratch, "theirs"), filepath.Join(scratch, "ours")
		nix.ForgetCaches()
		theirsTo = append(theirsTo, took(func() { nix.Run("nix", "copy", "--to", "file://"+theirs+"?"+query, full) }))
		oursTo = append(oursTo, took(func() {
			dst := open(t, "file://"+ours+"?"+query)
			_, err := store.Copy(t.Context(), dst, src, []storepath.Path{info.Path}, store.CopyOptions{})
			require.NoError(t, err)
		}))
		theirSize, ourSize = treeSize(t, theirs), treeSize(t, ours)

		other := lab.NewNix(t)
		theirsFrom = append(theirsFrom, took(func() { other.Run("nix", "copy", "--no-check-sigs", "--from", "file://"+theirs, full) }))
		oursFrom = append(oursFrom, took(func() {
			require.NoError(t, store.Restore(t.Context(), open(t, "file://"+ours), info.Path, filepath.Join(scratch, "restored"), nar.WithStoreMetadata()))
		}))
		require.NoError(t, removeReadOnly(scratch))
		require.NoError(t, removeReadOnly(other.Root()))
	}
	report := func(what string, theirs, ours []time.Duration) {
		a, b := median(theirs), median(ours)
		t.Logf("%-45s %-5s nix %5.0f MB/s, nixs3 %5.0f MB/s: %.2f×", query, what, speed(info, a), speed(info, b), float64(a)/float64(b))
	}
	t.Logf("NAR of %d MB; stored by nix %d, by nixs3 %d bytes: %.3f", info.NarSize/1e6, theirSize, ourSize, float64(ourSize)/float64(theirSize))
	report("to", theirsTo, oursTo)
	report("from", theirsFrom, oursFrom)
}

func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func speed(info *narinfo.PathInfo, d time.Duration) float64 {
	return float64(info.NarSize) / 1e6 / d.Seconds()
}

func treeSize(t *testing.B, dir string) (n int64) {
	require.NoError(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		n += st.Size()
		return err
	}))
	return n
}

func removeReadOnly(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o755)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
