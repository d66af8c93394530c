package storepath

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"example.com/nixs3/narinfo/internal/charset"
	"example.com/nixs3/narinfo/internal/nix32"
)

const (
	// hashPartLen is the length of the hash part in characters.
	hashPartLen = 32
	// MaxNameLen is the greatest length of a name in bytes.
	MaxNameLen = 211

	hashSize       = 20 // bytes that the hash part encodes
	drvSuffix      = ".drv"
	nameCharacters = "0-9a-zA-Z+-._?="
)

// Path is the base name of a store path, "<hash part>-<name>". Paths compare
// with == and can be keys of maps. The zero value means that there is no path.
type Path struct{ base string }

// ParseBase reads a base name as strictly as Nix does.
func ParseBase(s string) (Path, error) {
	if err := checkBase(s); err != nil {
		return Path{}, fmt.Errorf("store path %q: %w", clip(s), err)
	}
	return Path{s}, nil
}

func checkBase(s string) error {
	if len(s) <= hashPartLen {
		return fmt.Errorf("%d bytes are too short, expected <%d nix32 characters>-<name>", len(s), hashPartLen)
	}
	if err := ValidateHashPart(s[:hashPartLen]); err != nil {
		return err
	}
	if s[hashPartLen] != '-' {
		return fmt.Errorf("%q follows the hash part, expected '-'", s[hashPartLen])
	}
	return ValidateName(s[hashPartLen+1:])
}

// ValidateHashPart returns an error unless s is the hash part of a store path: 32
// characters of nix32.
func ValidateHashPart(s string) error {
	if len(s) != hashPartLen {
		return fmt.Errorf("hash part %q has %d characters, expected %d", clip(s), len(s), hashPartLen)
	}
	if !nix32.Valid(s) {
		return fmt.Errorf("hash part %q has characters that are not nix32 (0-9 a-z without e, o, t, u)", s)
	}
	return nil
}

var nameBytes = charset.Of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._?=")

// ValidateName returns an error unless s is the name of a store path: 1 to 211
// characters of 0-9a-zA-Z+-._?=, not "." or "..", and without ".-" or "..-" at the
// beginning.
func ValidateName(s string) error {
	if s == "" {
		return errors.New("name is empty")
	}
	if len(s) > MaxNameLen {
		return fmt.Errorf("name has %d bytes, at most %d are allowed", len(s), MaxNameLen)
	}
	if s[0] == '.' {
		if first, _, _ := strings.Cut(s, "-"); first == "." || first == ".." {
			return fmt.Errorf("name %q is, or begins with, a relative directory", clip(s))
		}
	}
	if i := nameBytes.Outside(s); i >= 0 {
		r, _ := utf8.DecodeRuneInString(s[i:])
		return fmt.Errorf("name has %q at offset %d, allowed are %s", r, i, nameCharacters)
	}
	return nil
}

// IsZero reports whether p is the zero value.
func (p Path) IsZero() bool { return p.base == "" }

// String returns the base name, without a directory; see [Dir.Join]. For the zero
// Path it is "".
func (p Path) String() string { return p.base }

// HashPart returns the 32 characters of nix32 before the first hyphen, which name
// the path's narinfo. For the zero Path it is "".
func (p Path) HashPart() string {
	if p.IsZero() {
		return ""
	}
	return p.base[:hashPartLen]
}

// Name returns the part after the hash part and its hyphen. For the zero Path it
// is "".
func (p Path) Name() string {
	if p.IsZero() {
		return ""
	}
	return p.base[hashPartLen+1:]
}

// IsDerivation reports whether the name ends with ".drv".
func (p Path) IsDerivation() bool { return strings.HasSuffix(p.base, drvSuffix) }

// Compare orders paths by the bytes of their base names, as Nix does.
func (p Path) Compare(q Path) int { return strings.Compare(p.base, q.base) }

// AppendText implements encoding.TextAppender: the base name.
func (p Path) AppendText(dst []byte) ([]byte, error) { return append(dst, p.base...), nil }

// MarshalText implements encoding.TextMarshaler: the base name.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.base), nil }

// UnmarshalText implements encoding.TextUnmarshaler: [ParseBase]. An empty text
// is the zero Path.
func (p *Path) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*p = Path{}
		return nil
	}
	parsed, err := ParseBase(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// clip shortens text from outside for an error message.
func clip(s string) string {
	const limit = 80 + hashPartLen
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
