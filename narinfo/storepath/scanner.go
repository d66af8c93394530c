package storepath

import (
	"encoding/binary"
	"slices"
)

// Scanner finds references to store paths in the bytes written to it, as Nix
// finds the references of a build's output: by the 32 characters of their hash
// parts, at any place of the stream, even across writes.
//
// It is not safe for concurrent use. Write never fails.
type Scanner struct {
	of    *candidates
	found []Path
	seen  map[string]bool // hash parts of found
	tail  []byte          // the last bytes written, less than a hash part
}

// candidates are store paths that scanners look for. Any number of scanners can
// share them concurrently.
type candidates struct {
	// An occurrence of a hash part covers an aligned word that begins at one
	// of the hash part's first eight offsets. So scan looks only at the word
	// at every eighth position of the stream, and compares whole hash parts
	// only if the filter has that word. The filter has the eight words of each
	// candidate, and one in a thousand of other words.
	filter []uint64 // bits, two for each word
	shift  uint     // leaves the index of a bit of a word's product

	byHash map[string][]Path
}

const (
	wordLen = 8

	// The filter has 64 bits for each of the 8 words of a candidate.
	minFilterBits       = 12
	maxFilterBits       = 24 // 2 MiB
	filterBitsCandidate = wordLen * 64
)

// NewScanner returns a Scanner for references to the candidates, of which it
// ignores the zero Path and repeated paths. They take some 200 bytes of memory
// each.
func NewScanner(candidates []Path) *Scanner { return newCandidates(candidates).scanner() }

// New returns a Scanner for references to the same candidates, which has found
// nothing. The two share the memory of the candidates, and may be used
// concurrently.
func (s *Scanner) New() *Scanner { return s.of.scanner() }

func (c *candidates) scanner() *Scanner {
	return &Scanner{of: c, seen: map[string]bool{}, tail: make([]byte, 0, hashPartLen-1)}
}

func newCandidates(of []Path) *candidates {
	s := &candidates{byHash: make(map[string][]Path, len(of))}
	known := make(map[Path]bool, len(of))
	for _, p := range of {
		if hash := p.HashPart(); hash != "" && !known[p] {
			s.byHash[hash] = append(s.byHash[hash], p)
			known[p] = true
		}
	}
	bits := uint(minFilterBits)
	for bits < maxFilterBits && 1<<bits < filterBitsCandidate*len(s.byHash) {
		bits++
	}
	s.filter = make([]uint64, 1<<bits/64)
	s.shift = 64 - bits
	for hash := range s.byHash {
		for offset := range wordLen {
			first, second := s.bits(binary.LittleEndian.Uint64([]byte(hash[offset:])))
			s.filter[first/64] |= 1 << (first % 64)
			s.filter[second/64] |= 1 << (second % 64)
		}
	}
	return s
}

// bits returns the indexes of a word's bits in the filter.
func (s *candidates) bits(word uint64) (first, second uint64) {
	product := word * 0x9e3779b97f4a7c15 // 2⁶⁴ divided by the golden ratio
	return product >> s.shift, product << 16 >> s.shift
}

func (s *candidates) mayHave(word uint64) bool {
	first, second := s.bits(word)
	return s.filter[first/64]>>(first%64)&1 != 0 && s.filter[second/64]>>(second%64)&1 != 0
}

// Write scans the next part of the stream.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	if len(s.of.byHash) == 0 {
		return n, nil
	}
	// Hash parts that begin in earlier writes and end in this one.
	if len(s.tail) > 0 {
		var seam [2 * (hashPartLen - 1)]byte
		k := copy(seam[:], s.tail)
		k += copy(seam[k:], p[:min(n, hashPartLen-1)])
		s.scan(seam[:k])
	}
	s.scan(p)

	keep := min(len(s.tail), max(0, hashPartLen-1-n))
	s.tail = append(s.tail[:0], s.tail[len(s.tail)-keep:]...)
	s.tail = append(s.tail, p[max(0, n-(hashPartLen-1)):]...)
	return n, nil
}

// scan finds the hash parts that lie entirely in p.
func (s *Scanner) scan(p []byte) {
	// All of nix32's characters have bit 5 set and bit 7 clear. Checking this
	// first rejects most machine code and images without using the filter.
	const mask, want = 0xa0a0a0a0a0a0a0a0, 0x2020202020202020
	for i := 0; i+wordLen <= len(p); i += wordLen {
		if word := binary.LittleEndian.Uint64(p[i:]); word&mask == want && s.of.mayHave(word) {
			s.look(p, i)
		}
	}
}

// look finds the hash parts of which the word at i is the first aligned one.
func (s *Scanner) look(p []byte, i int) {
	for start := max(0, i-wordLen+1); start <= i && start+hashPartLen <= len(p); start++ {
		hash := p[start : start+hashPartLen]
		if paths, ok := s.of.byHash[string(hash)]; ok && !s.seen[string(hash)] {
			s.found = append(s.found, paths...)
			s.seen[string(hash)] = true
		}
	}
}

// Found returns the candidates found so far, sorted.
func (s *Scanner) Found() []Path {
	return slices.SortedFunc(slices.Values(s.found), Path.Compare)
}
