package nixhash

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"example.com/nixs3/narinfo/internal/nix32"
)

// Hash is a digest and its algorithm. Hashes compare with == and can be keys of
// maps. The zero value means that there is no hash.
type Hash struct {
	digest    [maxSize]byte // zero after the algorithm's size
	algorithm Algorithm
}

// FromDigest returns the Hash with the bytes of a digest.
func FromDigest(a Algorithm, digest []byte) (Hash, error) {
	if !a.valid() {
		return Hash{}, fmt.Errorf("unknown hash algorithm %d", uint8(a))
	}
	if len(digest) != a.Size() {
		return Hash{}, fmt.Errorf("digest has %d bytes, %v has %d", len(digest), a, a.Size())
	}
	h := Hash{algorithm: a}
	copy(h.digest[:], digest)
	return h, nil
}

// FromSHA256 returns the Hash with a digest of SHA-256.
func FromSHA256(digest [32]byte) Hash {
	h := Hash{algorithm: SHA256}
	copy(h.digest[:], digest[:])
	return h
}

// Parse reads a hash in any of its forms: "sha256:" with base16, nix32 or
// base64, or SRI "sha256-" with base64, whose padding is optional as in Nix.
func Parse(s string) (Hash, error) {
	i := strings.IndexAny(s, ":-")
	if i < 0 {
		return Hash{}, fmt.Errorf("hash %q has no algorithm, expected <algorithm>:<digest> or <algorithm>-<base64>", clip(s))
	}
	a, err := ParseAlgorithm(s[:i])
	if err != nil {
		return Hash{}, fmt.Errorf("hash %q: %w", clip(s), err)
	}
	var h Hash
	if digest := s[i+1:]; s[i] == ':' {
		h, err = ParseDigest(a, digest)
	} else {
		h, err = parseBase64(a, digest)
	}
	if err != nil {
		return Hash{}, fmt.Errorf("hash %q: %w", clip(s), err)
	}
	return h, nil
}

// ParseDigest reads a digest without its algorithm, in base16, nix32 or base64.
func ParseDigest(a Algorithm, s string) (Hash, error) {
	size := a.Size()
	switch {
	case size == 0:
		return Hash{}, fmt.Errorf("unknown hash algorithm %d", uint8(a))
	case len(s) == nix32.TextLen(size):
		h := Hash{algorithm: a}
		if _, err := nix32.AppendDecode(h.digest[:0], s); err != nil {
			return Hash{}, err
		}
		return h, nil
	case len(s) == hex.EncodedLen(size):
		h := Hash{algorithm: a}
		if _, err := hex.Decode(h.digest[:], []byte(s)); err != nil {
			return Hash{}, fmt.Errorf("base16: %w", err)
		}
		return h, nil
	case len(s) == base64.StdEncoding.EncodedLen(size):
		return parseBase64(a, s)
	}
	return Hash{}, fmt.Errorf("digest has %d characters, %v has %d in base16, %d in nix32, %d in base64",
		len(s), a, hex.EncodedLen(size), nix32.TextLen(size), base64.StdEncoding.EncodedLen(size))
}

// parseBase64 reads a digest. As in Nix, the padding is optional, and text after
// it is ignored, such as the options of an SRI hash.
func parseBase64(a Algorithm, s string) (Hash, error) {
	digits, _, _ := strings.Cut(s, "=")
	if want := base64.RawStdEncoding.EncodedLen(a.Size()); len(digits) != want {
		return Hash{}, fmt.Errorf("base64 digest has %d characters, %v has %d", len(digits), a, want)
	}
	var digest [maxSize]byte
	n, err := base64.RawStdEncoding.Decode(digest[:], []byte(digits))
	if err != nil {
		return Hash{}, fmt.Errorf("base64: %w", err)
	}
	return FromDigest(a, digest[:n])
}

// Algorithm returns the algorithm, 0 for the zero Hash.
func (h Hash) Algorithm() Algorithm { return h.algorithm }

// IsZero reports whether h is the zero value: no hash.
func (h Hash) IsZero() bool { return h.algorithm == 0 }

// Digest returns a copy of the digest's bytes. For the zero Hash it is empty.
func (h Hash) Digest() []byte { return bytes.Clone(h.bytes()) }

// textBuffer has room for the longest text, so that a text takes one allocation.
type textBuffer [len("sha512:") + 2*maxSize]byte

func (h Hash) bytes() []byte { return h.digest[:algorithms[h.algorithm].size] }

// String returns the form of narinfos: the algorithm, a colon and nix32. For the
// zero Hash it is empty.
func (h Hash) String() string {
	var buf textBuffer
	return string(h.AppendString(buf[:0]))
}

// SRI returns the form of JSON and of Nix expressions: the algorithm, a hyphen
// and base64. For the zero Hash it is empty.
func (h Hash) SRI() string {
	var buf textBuffer
	return string(h.AppendSRI(buf[:0]))
}

// Nix32 returns the digest without its algorithm, in nix32, as in the names of
// NARs in a cache.
func (h Hash) Nix32() string {
	var buf textBuffer
	return string(h.AppendNix32(buf[:0]))
}

// Base16 returns the digest without its algorithm, in lower-case hexadecimal.
func (h Hash) Base16() string {
	var buf textBuffer
	return string(h.AppendBase16(buf[:0]))
}

// Base64 returns the digest without its algorithm, in padded base64.
func (h Hash) Base64() string {
	var buf textBuffer
	return string(h.AppendBase64(buf[:0]))
}

// AppendString appends what [Hash.String] returns to dst.
func (h Hash) AppendString(dst []byte) []byte {
	if h.algorithm == SHA256 {
		return appendSHA256(dst, (*[32]byte)(h.digest[:]))
	}
	return nix32.Append(h.appendAlgorithm(dst, ':'), h.bytes())
}

// appendSHA256 is a fast AppendString for SHA-256, which nearly all hashes are.
func appendSHA256(dst []byte, digest *[32]byte) []byte {
	const label, size = "sha256:", len("sha256:") + 52
	n := len(dst)
	dst = slices.Grow(dst, size)[:n+size]
	copy(dst[n:n+len(label)], label)
	nix32.Encode32((*[52]byte)(dst[n+len(label):]), digest)
	return dst
}

// AppendSRI appends what [Hash.SRI] returns to dst.
func (h Hash) AppendSRI(dst []byte) []byte { return h.AppendBase64(h.appendAlgorithm(dst, '-')) }

// AppendNix32 appends what [Hash.Nix32] returns to dst.
func (h Hash) AppendNix32(dst []byte) []byte { return nix32.Append(dst, h.bytes()) }

// AppendBase16 appends what [Hash.Base16] returns to dst.
func (h Hash) AppendBase16(dst []byte) []byte { return hex.AppendEncode(dst, h.bytes()) }

// AppendBase64 appends what [Hash.Base64] returns to dst.
func (h Hash) AppendBase64(dst []byte) []byte {
	return base64.StdEncoding.AppendEncode(dst, h.bytes())
}

func (h Hash) appendAlgorithm(dst []byte, separator byte) []byte {
	if h.IsZero() {
		return dst
	}
	return append(append(dst, algorithms[h.algorithm].name...), separator)
}

// AppendText implements encoding.TextAppender: [Hash.String].
func (h Hash) AppendText(dst []byte) ([]byte, error) { return h.AppendString(dst), nil }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too:
// [Hash.String].
func (h Hash) MarshalText() ([]byte, error) { return h.AppendString(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler: [Parse], and the zero
// Hash for an empty text.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*h = Hash{}
		return nil
	}
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

// EncodeNix32 returns src in nix32: base 32 with the digits
// 0123456789abcdfghijklmnpqrsvwxyz, of the bytes read as one little-endian
// number, the most significant digit first, without padding. 32 bytes become
// 52 characters.
func EncodeNix32(src []byte) string {
	var buf textBuffer
	return string(nix32.Append(buf[:0], src))
}

// DecodeNix32 returns the bytes that [EncodeNix32] encodes as s. It fails for
// characters outside of the alphabet, for lengths that EncodeNix32 never returns,
// and if bits beyond the last byte are set.
func DecodeNix32(s string) ([]byte, error) {
	data, err := nix32.AppendDecode(make([]byte, 0, len(s)*5/8), s)
	if err != nil {
		return nil, err
	}
	return data, nil
}
