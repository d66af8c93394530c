package fakes3

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKeySet compares a key set with a sorted slice through random changes.
func TestKeySet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var set keySet
	want := []string{}
	for range 20_000 {
		key := fmt.Sprintf("%04d", rng.IntN(6000))
		i, found := slices.BinarySearch(want, key)
		if rng.IntN(3) > 0 {
			set.insert(key)
			if !found {
				want = slices.Insert(want, i, key)
			}
		} else {
			set.remove(key)
			if found {
				want = slices.Delete(want, i, i+1)
			}
		}
		from, after := fmt.Sprintf("%04d", rng.IntN(6000)), ""
		if rng.IntN(2) == 0 {
			after = from
		}
		j, exact := slices.BinarySearch(want, from)
		if exact && after == from {
			j++
		}
		got, ok := set.next(from, after)
		require.Equal(t, j < len(want), ok)
		if ok {
			require.Equal(t, want[j], got)
		}
	}
	require.Equal(t, want, slices.Concat(set.blocks...))
	require.Greater(t, len(set.blocks), 1)
	for _, key := range want {
		set.remove(key)
	}
	require.Empty(t, set.blocks)
}
