// Package charset tells whether texts keep to a set of bytes.
package charset

// Set is a set of bytes: 0 for each of its members, else 1.
type Set [256]byte

// Of returns the set of the bytes of members.
func Of(members string) (set Set) {
	for i := range set {
		set[i] = 1
	}
	for i := range len(members) {
		set[members[i]] = 0
	}
	return set
}

// Outside returns the index of the first byte of s that is not of the set, or
// -1. Nearly all texts keep to their set, so it decides once, behind the last
// byte, which takes half of the time of deciding at every byte.
func (set *Set) Outside(s string) int {
	var outside byte
	rest := s
	for ; len(rest) >= 8; rest = rest[8:] {
		outside |= set[rest[0]] | set[rest[1]] | set[rest[2]] | set[rest[3]] |
			set[rest[4]] | set[rest[5]] | set[rest[6]] | set[rest[7]]
	}
	for i := range len(rest) {
		outside |= set[rest[i]]
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
