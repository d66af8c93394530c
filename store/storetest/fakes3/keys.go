package fakes3

import (
	"slices"
	"sort"
)

// keySet is a sorted set of keys, in blocks so that a change moves few of them.
// The zero value is empty.
type keySet struct{ blocks [][]string }

// maxBlock is the most keys of a block.
const maxBlock = 1024

// block returns the index of the block that has the key or would have it.
func (s *keySet) block(key string) int {
	return max(0, sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i][0] > key })-1)
}

func (s *keySet) insert(key string) {
	if len(s.blocks) == 0 {
		s.blocks = [][]string{{key}}
		return
	}
	b := s.block(key)
	i, found := slices.BinarySearch(s.blocks[b], key)
	if found {
		return
	}
	s.blocks[b] = slices.Insert(s.blocks[b], i, key)
	if keys := s.blocks[b]; len(keys) > maxBlock {
		half := len(keys) / 2
		if i == maxBlock { // keys that come in order fill the blocks
			half = maxBlock
		}
		s.blocks = slices.Insert(s.blocks, b+1, slices.Clone(keys[half:]))
		clear(keys[half:])
		s.blocks[b] = keys[:half:half]
	}
}

func (s *keySet) remove(key string) {
	if len(s.blocks) == 0 {
		return
	}
	b := s.block(key)
	i, found := slices.BinarySearch(s.blocks[b], key)
	if !found {
		return
	}
	s.blocks[b] = slices.Delete(s.blocks[b], i, i+1)
	if len(s.blocks[b]) == 0 {
		s.blocks = slices.Delete(s.blocks, b, b+1)
	}
}

// next returns the first key that is not less than from and greater than after,
// and whether there is one.
func (s *keySet) next(from, after string) (string, bool) {
	for b := s.block(from); b < len(s.blocks); b++ {
		keys := s.blocks[b]
		i, _ := slices.BinarySearch(keys, from)
		if i < len(keys) && keys[i] == after && after != "" {
			i++
		}
		if i < len(keys) {
			return keys[i], true
		}
	}
	return "", false
}
