package storepath_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
)

const nix32Alphabet = "0123456789abcdfghijklmnpqrsvwxyz"

func TestScanner(t *testing.T) {
	a := mustParse(t, "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0")
	b := mustParse(t, "a6qzp68m5h3sa7v283h5l0250s2ccj7g-wrapper-1.0")
	sameHash := mustParse(t, a.HashPart()+"-hello-2.0")
	run := strings.Repeat("0", 32)

	for _, test := range []struct {
		name string
		data string
		want []storepath.Path
	}{
		{"nothing", "", nil},
		{"full path", storepath.Default.Join(a) + "/bin/hello", []storepath.Path{a}},
		{"hash part alone", a.HashPart(), []storepath.Path{a}},
		{"one character missing", a.HashPart()[1:], nil},
		{"in another store directory", "/other/" + b.String(), []storepath.Path{b}},
		{"both, sorted", a.String() + " " + b.String(), []storepath.Path{b, a}},
		{"twice", a.String() + a.String(), []storepath.Path{a}},
		{"after other nix32 characters", run + "z" + a.HashPart() + run, []storepath.Path{a}},
		{"two without a gap", a.HashPart() + b.HashPart(), []storepath.Path{b, a}},
		{"after all but its last character", b.HashPart()[:31] + b.HashPart(), []storepath.Path{b}},
		{"interrupted", a.HashPart()[:16] + "-" + a.HashPart()[16:], nil},
		{"in capitals", strings.ToUpper(a.HashPart()), nil},
		{"in binary data", "\x00\xff" + a.HashPart() + "\x00", []storepath.Path{a}},
		{"UTF-16", strings.Join(strings.Split(a.HashPart(), ""), "\x00"), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for size := 1; size <= len(test.data)+1; size++ {
				s := storepath.NewScanner([]storepath.Path{a, b, {}, a})
				for chunk := range slices.Chunk([]byte(test.data), size) {
					n, err := s.Write(chunk)
					require.NoError(t, err)
					require.Equal(t, len(chunk), n)
				}
				require.Equal(t, test.want, s.Found(), "in writes of %d bytes", size)
			}
		})
	}

	t.Run("several paths of one hash part", func(t *testing.T) {
		s := storepath.NewScanner([]storepath.Path{sameHash, a})
		fmt.Fprint(s, a)
		assert.Equal(t, []storepath.Path{a, sameHash}, s.Found())
	})
	t.Run("no candidates", func(t *testing.T) {
		s := storepath.NewScanner(nil)
		fmt.Fprint(s, a)
		assert.Empty(t, s.Found())
	})
	t.Run("Found in the middle", func(t *testing.T) {
		s := storepath.NewScanner([]storepath.Path{a, b})
		fmt.Fprint(s, a)
		assert.Equal(t, []storepath.Path{a}, s.Found())
		fmt.Fprint(s, b)
		assert.Equal(t, []storepath.Path{b, a}, s.Found())
	})
}

// somePaths makes n paths from a seed.
func somePaths(t testing.TB, n int) []storepath.Path {
	random := rand.New(rand.NewPCG(1, 2))
	paths := make([]storepath.Path, n)
	for i := range paths {
		hash := make([]byte, 32)
		for j := range hash {
			hash[j] = nix32Alphabet[random.IntN(len(nix32Alphabet))]
		}
		paths[i] = mustParse(t, string(hash)+"-x")
	}
	return paths
}

func FuzzScanner(f *testing.F) {
	paths := somePaths(f, 3)
	f.Add([]byte(paths[0].HashPart()+paths[1].HashPart()), 7)
	f.Add([]byte("0"+paths[2].HashPart()), 1)
	f.Add([]byte(paths[2].HashPart()[:20]+paths[2].HashPart()), 40)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		// A hash part is appended, so that the fuzzer
		// does not have to find one.
		data = append(data, paths[0].HashPart()...)
		var want []storepath.Path
		for _, p := range paths {
			if bytes.Contains(data, []byte(p.HashPart())) {
				want = append(want, p)
			}
		}
		slices.SortFunc(want, storepath.Path.Compare)
		s := storepath.NewScanner(paths)
		for chunk := range slices.Chunk(data, 1+max(0, size)%100) {
			s.Write(chunk)
		}
		require.Equal(t, want, s.Found())
	})
}

func BenchmarkScanner(b *testing.B) {
	const size = 1 << 20
	random := rand.New(rand.NewPCG(3, 4))
	binary := make([]byte, size)
	nix32 := make([]byte, size)
	for i := range binary {
		binary[i] = byte(random.Uint32())
		nix32[i] = nix32Alphabet[random.IntN(len(nix32Alphabet))]
	}
	text := []byte(strings.Repeat("#!/bin/sh\nexec /nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0/bin/hello \"$@\"\nthe quick brown fox\n", size/100))
	for _, data := range []struct {
		name  string
		bytes []byte
	}{
		{"binary", binary}, {"text", text}, {"zeros", make([]byte, size)}, {"hex", []byte(fmt.Sprintf("%x", binary))}, {"nix32", nix32},
	} {
		for _, candidates := range []int{10, 1000} {
			b.Run(fmt.Sprintf("%s/%d", data.name, candidates), func(b *testing.B) {
				paths := somePaths(b, candidates)
				b.ReportAllocs()
				b.SetBytes(int64(len(data.bytes)))
				s := storepath.NewScanner(paths)
				for b.Loop() {
					s.Write(data.bytes)
				}
			})
		}
	}
}

var _ io.Writer = (*storepath.Scanner)(nil)
