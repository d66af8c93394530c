package store

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRangesAfter(t *testing.T) {
	for _, last := range []string{"0", "00000x", "10ab", "hzzzzzz.narinfo", "zzzzy"} {
		for _, width := range []float64{0.9, 0.1, 0.0137, 1e-4} {
			ranges := rangesAfter(last, width)
			require.Equal(t, last, ranges[0].start)
			require.Empty(t, ranges[len(ranges)-1].end)
			for i, r := range ranges[1:] {
				require.Equal(t, ranges[i].end, r.start, "no key is left out or listed twice")
				require.Less(t, ranges[i].start, r.start)
			}
			require.LessOrEqual(t, len(ranges), int(1/width)+1)
		}
	}
}

func TestPosition(t *testing.T) {
	require.Zero(t, position("0000000"))
	require.Equal(t, 0.5, position("h"))
	require.Less(t, position("zzzzzzz"), 1.0)
	for _, key := range []string{"nix-cache-info", "e", "~", "0e"} {
		require.Equal(t, 1.0, position(key), key)
	}
	for _, x := range []float64{0, 0.25, 0.7, 0.999} {
		require.InDelta(t, x, position(boundary(x)), 1e-6)
	}
}
