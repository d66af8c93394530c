package gc

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// sampleGraph has two visible paths, and one that is referred to.
func sampleGraph(t testing.TB) *graph {
	g := &graph{}
	var before storepath.Path
	for n, name := range []string{"a", "b", "c"} {
		p, err := storepath.ParseBase("00000000000000000000000000000" + string("123"[n]) + "00-" + name)
		require.NoError(t, err)
		h, ok := parseHashPart(p.HashPart())
		require.True(t, ok)
		i := g.node(h)
		if n > 0 {
			info := &narinfo.NarInfo{PathInfo: narinfo.PathInfo{Path: p, NarSize: 120, References: []storepath.Path{before, p}}, URL: "nar/" + name + ".nar"}
			g.marks[i] |= listed
			g.etag[i] = digest(n)
			g.set(i, info)
		}
		before = p
	}
	return g
}

func encoded(t testing.TB, g *graph) [][]byte {
	var shards [][]byte
	require.NoError(t, g.shards(map[digest]link{5: {6, hashPart{7}}}, func(n, count int, s *shard) error {
		data, err := s.encode()
		shards = append(shards, data)
		return err
	}))
	return shards
}

func TestStoredGraph(t *testing.T) {
	g := sampleGraph(t)
	shards := encoded(t, g)
	require.Len(t, shards, 1)
	s, err := decodeShard(shards[0])
	require.NoError(t, err)
	got := &graph{}
	require.NoError(t, got.append(s))
	require.NoError(t, got.finish())
	require.Equal(t, g.hash, got.hash)
	require.Equal(t, g.etag, got.etag)
	require.Equal(t, g.size, got.size)
	require.Equal(t, g.archives.stem, got.archives.stem)
	for i := range id(g.len()) {
		require.Equal(t, g.references(i), got.references(i))
		require.Equal(t, g.base(i) == g.hash[i].String() || i > 0, true)
		require.Equal(t, g.base(i), got.base(i))
	}
	require.Equal(t, []digest{5}, s.linkKey)

	for at := range shards[0] { // a flipped bit anywhere shows
		damaged := bytes.Clone(shards[0])
		damaged[at] ^= 4
		if s, err := decodeShard(damaged); err == nil {
			again := &graph{}
			require.NoError(t, again.append(s))
			require.Equal(t, got.hash, again.hash)
		}
	}
	require.Error(t, got.append(s), "twice the same")
}

func FuzzStored(f *testing.F) {
	for _, data := range encoded(f, sampleGraph(f)) {
		f.Add(data)
		plain, err := decompressed(data, shardLimit)
		require.NoError(f, err)
		f.Add(plain)
	}
	f.Add([]byte(`{"paths":["00000000000000000000000000000000-a"],"expires":"2030-01-01T00:00:00Z","ttl":5}`))
	f.Add([]byte(`{"run":"x","grace":5,"parts":[{"first":"a","last":"b","entries":1}]}`))
	f.Add([]byte(`{"key":"00000000000000000000000000000000.narinfo","body":"eA=="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := decodeShard(data); err == nil {
			g := &graph{}
			if g.append(s) == nil {
				_ = g.finish()
			}
		}
		packed, err := compressed(data)
		require.NoError(t, err)
		if s, err := decodeShard(packed); err == nil {
			_ = (&graph{}).append(s)
		}
		_, _ = parseRoot(data)
		_, _ = parseIndex(data)
		_, _ = decodeCondemned(packed)
		_, _ = parsePart(packed)
	})
}
