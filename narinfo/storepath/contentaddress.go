package storepath

import (
	"fmt"
	"slices"
	"strings"

	"example.com/nixs3/narinfo/internal/nix32"
	"example.com/nixs3/narinfo/nixhash"
)

// Method is how the contents of a store object become the hash in its
// [ContentAddress]. The zero value is not a method.
type Method uint8

const (
	MethodText Method = iota + 1 // bytes of a file that may have references, such as a derivation; SHA-256 only
	MethodFlat                   // bytes of a file
	MethodNAR                    // the NAR, formerly called "recursive"
	MethodGit                    // the Git object; SHA-1 or SHA-256 only
)

var methods = [...]struct{ name, prefix string }{
	MethodText: {"text", "text:"},
	MethodFlat: {"flat", "fixed:"},
	MethodNAR:  {"nar", "fixed:r:"},
	MethodGit:  {"git", "fixed:git:"},
}

// ParseMethod returns the method that Nix's JSON calls text, flat, nar or git.
func ParseMethod(name string) (Method, error) {
	for m, entry := range methods {
		if entry.name == name && name != "" {
			return Method(m), nil
		}
	}
	return 0, fmt.Errorf("unknown content address method %q, expected text, flat, nar or git", clip(name))
}

// valid reports whether m is one of the methods above.
func (m Method) valid() bool { return m != 0 && int(m) < len(methods) }

// String returns the method's name in Nix's JSON.
func (m Method) String() string {
	if !m.valid() {
		return fmt.Sprintf("Method(%d)", uint8(m))
	}
	return methods[m].name
}

// ContentAddress is the claim that a store object's path is computed from its
// contents, with the method and the hash. It compares with ==. The zero value
// makes no claim.
type ContentAddress struct {
	Method Method
	Hash   nixhash.Hash
}

// ParseContentAddress reads the form of narinfos: text:sha256:<digest>,
// fixed:<algorithm>:<digest>, fixed:r:… and fixed:git:….
func ParseContentAddress(s string) (ContentAddress, error) {
	ca, err := parseContentAddress(s)
	if err != nil {
		return ContentAddress{}, fmt.Errorf("content address %q: %w", clip(s), err)
	}
	return ca, nil
}

func parseContentAddress(s string) (ContentAddress, error) {
	// The longest prefixes first: "fixed:" is a prefix of two others.
	for _, m := range []Method{MethodNAR, MethodGit, MethodFlat, MethodText} {
		rest, ok := strings.CutPrefix(s, methods[m].prefix)
		if !ok {
			continue
		}
		name, digest, ok := strings.Cut(rest, ":")
		if !ok {
			return ContentAddress{}, fmt.Errorf("expected <algorithm>:<digest> after %q", methods[m].prefix)
		}
		algorithm, err := nixhash.ParseAlgorithm(name)
		if err != nil {
			return ContentAddress{}, err
		}
		hash, err := nixhash.ParseDigest(algorithm, digest)
		if err != nil {
			return ContentAddress{}, err
		}
		ca := ContentAddress{m, hash}
		return ca, ca.Validate()
	}
	return ContentAddress{}, fmt.Errorf("expected text:…, fixed:…, fixed:r:… or fixed:git:…")
}

// IsZero reports whether ca is the zero value.
func (ca ContentAddress) IsZero() bool { return ca.Method == 0 && ca.Hash.IsZero() }

// Validate returns an error for an unknown method, a missing hash, or a hash that
// the method does not allow.
func (ca ContentAddress) Validate() error {
	algorithm := ca.Hash.Algorithm()
	switch {
	case !ca.Method.valid():
		return fmt.Errorf("unknown content address method %d", uint8(ca.Method))
	case ca.Hash.IsZero():
		return fmt.Errorf("content address has no hash")
	case ca.Method == MethodText && algorithm != nixhash.SHA256:
		return fmt.Errorf("method text has a %v hash, expected sha256", algorithm)
	case ca.Method == MethodGit && algorithm != nixhash.SHA1 && algorithm != nixhash.SHA256:
		return fmt.Errorf("method git has a %v hash, expected sha1 or sha256", algorithm)
	}
	return nil
}

// String returns the form of narinfos, "" for the zero value.
func (ca ContentAddress) String() string { return string(ca.AppendString(nil)) }

// AppendString appends what [ContentAddress.String] returns to dst.
func (ca ContentAddress) AppendString(dst []byte) []byte {
	if !ca.Method.valid() {
		return dst
	}
	return ca.Hash.AppendString(append(dst, methods[ca.Method].prefix...))
}

// AppendText implements encoding.TextAppender: [ContentAddress.String]. It fails
// if [ContentAddress.Validate] does, except for the zero value.
func (ca ContentAddress) AppendText(dst []byte) ([]byte, error) {
	if !ca.IsZero() {
		if err := ca.Validate(); err != nil {
			return dst, err
		}
	}
	return ca.AppendString(dst), nil
}

// MarshalText implements encoding.TextMarshaler. See [ContentAddress.AppendText].
func (ca ContentAddress) MarshalText() ([]byte, error) { return ca.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler: [ParseContentAddress],
// and the zero value for an empty text.
func (ca *ContentAddress) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*ca = ContentAddress{}
		return nil
	}
	parsed, err := ParseContentAddress(string(text))
	if err != nil {
		return err
	}
	*ca = parsed
	return nil
}

// References are the store paths that the contents of a content-addressed
// store object mention, as a set.
type References struct {
	Others []Path
	Self   bool // the object mentions its own path
}

// FromContentAddress returns the path of the store object with a name, a
// content address and references:
//
//   - a tree has MethodNAR and the SHA-256 of its NAR, as from "nix store add-path",
//   - a flat file has MethodFlat and the hash of its bytes, as from "nix store add-file",
//   - a text has MethodText and the SHA-256 of its bytes, as from builtins.toFile.
//
// With self-references, the hash is that of the NAR in which their hash parts
// are zeroed, followed by "|<offset>", in decimal, for each of them in order.
// Only texts and NARs in SHA-256 may have references, and only NARs references
// to themselves.
func (d Dir) FromContentAddress(name string, ca ContentAddress, refs References) (Path, error) {
	if err := d.Validate(); err != nil {
		return Path{}, err
	}
	if err := ValidateName(name); err != nil {
		return Path{}, err
	}
	if err := ca.Validate(); err != nil {
		return Path{}, err
	}
	if slices.ContainsFunc(refs.Others, Path.IsZero) {
		return Path{}, fmt.Errorf("store path named %q: a reference is the zero path", name)
	}
	switch {
	case ca.Method == MethodText:
		if refs.Self {
			return Path{}, fmt.Errorf("store path named %q: a text cannot refer to itself", name)
		}
		return d.makePath("text", refs, ca.Hash, name), nil
	case ca.Method == MethodNAR && ca.Hash.Algorithm() == nixhash.SHA256:
		return d.makePath("source", refs, ca.Hash, name), nil
	case refs.Self || len(refs.Others) > 0:
		return Path{}, fmt.Errorf("store path named %q: method %v with %v allows no references", name, ca.Method, ca.Hash.Algorithm())
	}
	// The inner text is "fixed:out:" and the text form without "fixed:", in base16.
	inner := "fixed:out:" + strings.TrimPrefix(methods[ca.Method].prefix, "fixed:") +
		ca.Hash.Algorithm().String() + ":" + ca.Hash.Base16() + ":"
	return d.makePath("output:out", References{}, nixhash.Sum(nixhash.SHA256, []byte(inner)), name), nil
}

// makePath hashes the identity of the object into the hash part. The inner hash
// is of SHA-256.
func (d Dir) makePath(kind string, refs References, inner nixhash.Hash, name string) Path {
	text := []byte(kind)
	others := slices.Clone(refs.Others)
	slices.SortFunc(others, Path.Compare)
	for _, ref := range slices.Compact(others) {
		text = d.AppendJoin(append(text, ':'), ref)
	}
	if refs.Self {
		text = append(text, ":self"...)
	}
	text = append(text, ":sha256:"...)
	text = inner.AppendBase16(text)
	text = append(text, ':')
	text = append(text, d...)
	text = append(text, ':')
	text = append(text, name...)

	digest := nixhash.Sum(nixhash.SHA256, text).Digest()
	base := nix32.Append(nil, fold(digest))
	return Path{string(append(append(base, '-'), name...))}
}

// fold shortens a digest to the bytes of a hash part, as Nix does: byte i of the
// digest is XORed into byte i mod hashSize.
func fold(digest []byte) []byte {
	folded := make([]byte, hashSize)
	for i, b := range digest {
		folded[i%hashSize] ^= b
	}
	return folded
}
