package verify_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/verify"
)

func TestDepthText(t *testing.T) {
	for _, depth := range depths {
		parsed, err := verify.ParseDepth(depth.String())
		require.NoError(t, err)
		require.Equal(t, depth, parsed)
	}
	for _, s := range []string{"", "Files", "file", "4"} {
		_, err := verify.ParseDepth(s)
		require.ErrorContains(t, err, "expected listing, metadata, files, contents", s)
	}
}

func TestFindingText(t *testing.T) {
	f := verify.Finding{Kind: verify.ArchiveMissing, Key: "nar/x.nar"}
	require.Equal(t, "archive-missing nar/x.nar: the archive is not in the cache", f.String())
	f.Path, f.Detail = path("00000000000000000000000000000000-x"), "why"
	require.Equal(t, "archive-missing nar/x.nar of 00000000000000000000000000000000-x: the archive is not in the cache: why", f.String())
}

func TestShardText(t *testing.T) {
	shard, err := verify.ParseShard("3/32")
	require.NoError(t, err)
	require.Equal(t, verify.Shard{Index: 3, Count: 32}, shard)
	require.Equal(t, "3/32", shard.String())
	for _, s := range []string{"", "3", "0/2", "3/2", "-1/2", "1/0", "a/b", "1/2/3", "/"} {
		_, err := verify.ParseShard(s)
		require.Error(t, err, s)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	c := corpusCache(t, "none")
	for name, opts := range map[string]verify.Options{
		"depth":    {Depth: 4},
		"share":    {Sample: 1.5},
		"negative": {Sample: -1},
		"shard":    {Shard: verify.Shard{Index: 2, Count: 1}},
	} {
		for _, err := range verify.Check(t.Context(), c, opts) {
			require.Error(t, err, name)
		}
	}
}

// broken is a cache in which the archive of every path is damaged.
func broken(t *testing.T) (*store.Cache, int) {
	c := corpusCache(t, "zstd")
	paths := 0
	for key, data := range contentsOf(t, c.Bucket()) {
		switch layout.KindOf(key) {
		case layout.Archive:
			put(t, c.Bucket(), key, flip([]byte(data), len(data)/2))
		case layout.NarInfo:
			paths++
		}
	}
	return c, paths
}

func pathsOf(findings []verify.Finding) map[storepath.Path]bool {
	paths := map[storepath.Path]bool{}
	for _, f := range findings {
		paths[f.Path] = true
	}
	return paths
}

func TestShardsAddUp(t *testing.T) {
	c, n := broken(t)
	all := map[storepath.Path]bool{}
	for i := range 5 {
		part := pathsOf(check(t, c, verify.Options{Depth: verify.Files, Shard: verify.Shard{Index: i + 1, Count: 5}}))
		require.Less(t, len(part), n)
		for p := range part {
			require.False(t, all[p], "%s is in two shards", p)
			all[p] = true
		}
	}
	require.Len(t, all, n)
}

func TestSampleIsAShareAndRepeats(t *testing.T) {
	c, n := broken(t)
	sample := func(seed uint64) map[storepath.Path]bool {
		return pathsOf(check(t, c, verify.Options{Depth: verify.Files, Sample: 0.5, Seed: seed}))
	}
	sum := 0
	for seed := range uint64(20) {
		one := sample(seed)
		require.Equal(t, one, sample(seed))
		sum += len(one)
	}
	require.InDelta(t, n/2, sum/20, float64(n)/6)
}

func TestSinceLeavesOutWhatIsOlder(t *testing.T) {
	c, n := broken(t)
	require.Len(t, pathsOf(check(t, c, verify.Options{Depth: verify.Files, Since: time.Now().Add(-time.Hour)})), n)
	require.Empty(t, check(t, c, verify.Options{Depth: verify.Files, Since: time.Now().Add(time.Hour)}))

	// Nor does it look for the listings of older paths, or read older objects.
	c = corpusCache(t, "full-xz")
	require.NoError(t, c.Bucket().Delete(t.Context(), listKey(infoOf(t, c.Bucket(), hello))))
	realisation := firstBelow(t, c.Bucket(), layout.RealisationPrefixes()[0])
	put(t, c.Bucket(), realisation, []byte("broken"))
	require.Len(t, check(t, c, verify.Options{Depth: verify.Contents}), 2)
	var plan verify.Plan
	require.Empty(t, check(t, c, verify.Options{Depth: verify.Contents, Since: time.Now().Add(time.Hour), Plan: func(p verify.Plan) error {
		plan = p
		return nil
	}}))
	require.EqualValues(t, 1, plan.Requests, "nix-cache-info")
}
