package storepath

import (
	"encoding/binary"
	"slices"

	"example.com/nixs3/narinfo/nixhash"
)

// Scanner finds references to store paths in what is written to it, as Nix
// finds the references of a build's output: by the 32 characters of their hash
// parts, wherever they stand and however the stream is cut into writes.
//
// It is not safe for concurrent use. Write never fails.
type Scanner struct {
	candidates map[string][]Path // by hash part, until found
	found      []Path
	filter     []uint64 // bits that the first 8 bytes of a candidate set
	shift      uint     // of the product, so that an index into filter is left
	tail       []byte   // the last bytes written, less than a hash part
}

// NewScanner returns a Scanner for references to the candidates.
func NewScanner(candidates []Path) *Scanner {
	s := &Scanner{
		candidates: make(map[string][]Path, len(candidates)),
		tail:       make([]byte, 0, HashPartLen-1),
	}
	for _, p := range candidates {
		if hash := p.HashPart(); hash != "" && !slices.Contains(s.candidates[hash], p) {
			s.candidates[hash] = append(s.candidates[hash], p)
		}
	}
	// 64 bits for each candidate, so that in a long run of nix32 characters
	// one position in 64 goes to the map. At most 2 MiB.
	bits := uint(12)
	for bits < 24 && 1<<bits < 64*len(s.candidates) {
		bits++
	}
	s.filter = make([]uint64, 1<<(bits-6))
	s.shift = 64 - bits
	for hash := range s.candidates {
		i := s.slot([]byte(hash))
		s.filter[i/64] |= 1 << (i % 64)
	}
	return s
}

// slot returns the bit in the filter for the first 8 bytes of a hash part.
func (s *Scanner) slot(b []byte) uint64 {
	const spread = 0x9e3779b97f4a7c15 // 2⁶⁴ divided by the golden ratio
	return binary.LittleEndian.Uint64(b) * spread >> s.shift
}

// Write looks at the next part of the stream.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	if len(s.candidates) == 0 {
		return n, nil
	}
	// What begins in the last write and ends in this one.
	if len(s.tail) > 0 {
		var seam [2 * (HashPartLen - 1)]byte
		k := copy(seam[:], s.tail)
		k += copy(seam[k:], p[:min(n, HashPartLen-1)])
		s.scan(seam[:k])
	}
	s.scan(p)

	if n >= HashPartLen-1 {
		s.tail = append(s.tail[:0], p[n-(HashPartLen-1):]...)
	} else {
		keep := min(len(s.tail), HashPartLen-1-n)
		s.tail = append(append(s.tail[:0], s.tail[len(s.tail)-keep:]...), p...)
	}
	return n, nil
}

// scan finds the hash parts that lie in p whole. A window of their length
// moves over it. It is looked at from its end, because a character that is not
// nix32 there carries the window furthest; most text and machine code has one
// soon.
func (s *Scanner) scan(p []byte) {
	checked := 0 // all from the window's begin up to here are nix32
	for i := 0; i+HashPartLen <= len(p); {
		window := p[i : i+HashPartLen]
		bad := -1
		for j := HashPartLen - 1; j >= checked-i; j-- {
			if !isNix32[window[j]] {
				bad = j
				break
			}
		}
		if bad >= 0 {
			i += bad + 1
			checked = i
			continue
		}
		checked = i + HashPartLen
		if bit := s.slot(window); s.filter[bit/64]&(1<<(bit%64)) != 0 {
			s.match(window)
		}
		i++
	}
}

func (s *Scanner) match(hash []byte) {
	if paths, ok := s.candidates[string(hash)]; ok {
		s.found = append(s.found, paths...)
		delete(s.candidates, string(hash))
	}
}

// Found returns the candidates that have been found so far, sorted.
func (s *Scanner) Found() []Path {
	return slices.SortedFunc(slices.Values(s.found), Path.Compare)
}

var isNix32 = func() (table [256]bool) {
	for i := range table {
		table[i] = nixhash.IsNix32(string([]byte{byte(i)}))
	}
	return table
}()
