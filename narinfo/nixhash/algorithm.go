package nixhash

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"github.com/zeebo/blake3"
)

// Algorithm is one of the hash functions that Nix knows. The zero value is not an
// algorithm.
type Algorithm uint8

const (
	MD5    Algorithm = iota + 1 // 16 bytes
	SHA1                        // 20 bytes
	SHA256                      // 32 bytes
	SHA512                      // 64 bytes
	BLAKE3                      // 32 bytes
)

// maxSize is the length of the longest digest in bytes.
const maxSize = sha512.Size

// algorithms has an empty entry for the zero Algorithm.
var algorithms = [...]struct {
	name string
	size int
	new  func() hash.Hash
}{
	MD5:    {"md5", md5.Size, md5.New},
	SHA1:   {"sha1", sha1.Size, sha1.New},
	SHA256: {"sha256", sha256.Size, sha256.New},
	SHA512: {"sha512", sha512.Size, sha512.New},
	BLAKE3: {"blake3", 32, func() hash.Hash { return blake3.New() }},
}

// ParseAlgorithm returns the algorithm of a name such as "sha256".
func ParseAlgorithm(name string) (Algorithm, error) {
	// A switch is faster than a loop over the table, and each narinfo needs it.
	switch name {
	case "sha256":
		return SHA256, nil
	case "md5":
		return MD5, nil
	case "sha1":
		return SHA1, nil
	case "sha512":
		return SHA512, nil
	case "blake3":
		return BLAKE3, nil
	}
	return 0, fmt.Errorf("unknown hash algorithm %q, expected md5, sha1, sha256, sha512 or blake3", clip(name))
}

// valid reports whether a is one of the algorithms above.
func (a Algorithm) valid() bool { return a != 0 && int(a) < len(algorithms) }

// String returns the name that Nix uses, such as "sha256".
func (a Algorithm) String() string {
	if !a.valid() {
		return fmt.Sprintf("Algorithm(%d)", uint8(a))
	}
	return algorithms[a].name
}

// Size returns the length of a digest in bytes, 0 for an unknown algorithm.
func (a Algorithm) Size() int {
	if !a.valid() {
		return 0
	}
	return algorithms[a].size
}

// Hasher computes a [Hash] from what is written to it. It is not safe for
// concurrent use.
type Hasher struct {
	hash.Hash
	algorithm Algorithm
}

// New returns a Hasher. It panics for an unknown algorithm, which
// [ParseAlgorithm] never returns.
func New(a Algorithm) *Hasher {
	if !a.valid() {
		panic("nixhash: New with " + a.String())
	}
	return &Hasher{algorithms[a].new(), a}
}

// Digest returns the Hash of the bytes written so far. More may be written after
// it.
func (h *Hasher) Digest() Hash {
	sum := Hash{algorithm: h.algorithm}
	h.Sum(sum.digest[:0])
	return sum
}

// Sum returns the Hash of data. It panics for an unknown algorithm.
func Sum(a Algorithm, data []byte) Hash {
	if a == SHA256 {
		return FromSHA256(sha256.Sum256(data))
	}
	h := New(a)
	h.Write(data)
	return h.Digest()
}

// clip shortens text from outside for an error message.
func clip(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
