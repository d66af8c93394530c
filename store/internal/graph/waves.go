package graph

import (
	"maps"
	"slices"

	"example.com/nixs3/narinfo/storepath"
)

// Waves divides nodes into groups in which they can be deleted: each node comes
// in a later group than all that refer to it, so that within a group the order
// does not matter. Nodes that refer to each other in a circle, and what they
// refer to, form the last group.
func Waves[N Node](nodes map[storepath.Path]N) [][]storepath.Path {
	users := make(map[storepath.Path]int, len(nodes))
	for _, n := range nodes {
		for _, ref := range References(n) {
			if _, ok := nodes[ref]; ok {
				users[ref]++
			}
		}
	}
	rest := maps.Clone(nodes)
	var wave []storepath.Path
	for p := range nodes {
		if users[p] == 0 {
			wave = append(wave, p)
		}
	}
	var waves [][]storepath.Path
	for len(wave) > 0 {
		waves = append(waves, wave)
		var next []storepath.Path
		for _, p := range wave {
			delete(rest, p)
			for _, ref := range References(nodes[p]) {
				if _, ok := nodes[ref]; !ok {
					continue
				}
				if users[ref]--; users[ref] == 0 {
					next = append(next, ref)
				}
			}
		}
		wave = next
	}
	if len(rest) > 0 {
		waves = append(waves, slices.Collect(maps.Keys(rest)))
	}
	return waves
}
