// Package charset reports whether texts consist of bytes of a set.
package charset

import "strings"

// Set is a set of bytes: 0 for each member, 1 for every other byte.
type Set [256]byte

// Of returns the set of the bytes in members.
func Of(members string) (set Set) {
	for i := range set {
		if strings.IndexByte(members, byte(i)) < 0 {
			set[i] = 1
		}
	}
	return set
}

// Outside returns the index of the first byte of s that is not in the set, or
// -1. Nearly all texts have no such byte, so Outside branches only once, after
// the last byte.
func (set *Set) Outside(s string) int {
	var outside byte
	for i := range len(s) {
		outside |= set[s[i]]
	}
	if outside == 0 {
		return -1
	}
	i := 0
	for set[s[i]] == 0 {
		i++
	}
	return i
}
