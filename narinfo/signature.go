package narinfo

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/nixs3/narinfo/internal/charset"
)

// Signature is an Ed25519 signature and the name of the key that is claimed to
// have made it. It compares with ==.
type Signature struct {
	KeyName string
	Data    [ed25519.SignatureSize]byte
}

// ParseSignature reads "<key name>:<base64 of 64 bytes>". As Nix does, it ignores
// the first "=" and what follows it.
func ParseSignature(s string) (Signature, error) {
	name, text, ok := strings.Cut(s, ":")
	if !ok {
		return Signature{}, fmt.Errorf("signature %q has no colon, expected <key name>:<base64>", clip(s))
	}
	return newSignature(name, text)
}

func newSignature(name, text string) (Signature, error) {
	sig := Signature{KeyName: name}
	if err := sig.checkKeyName(); err != nil {
		return Signature{}, err
	}
	digits, _, _ := strings.Cut(text, "=")
	if err := decodeBase64(sig.Data[:], digits, base64.RawStdEncoding); err != nil {
		return Signature{}, sig.wrap(err)
	}
	return sig, nil
}

// checkKeyName returns an error for a wrong name of the key.
func (s Signature) checkKeyName() error {
	if err := checkKeyName(s.KeyName); err != nil {
		return s.wrap(err)
	}
	return nil
}

// wrap adds the name of the signature's key to an error.
func (s Signature) wrap(err error) error {
	return fmt.Errorf("signature by %q: %w", clip(s.KeyName), err)
}

// checkSignatures returns an error for the first signature that could not be
// read again.
func checkSignatures(sigs []Signature) error {
	for i := range sigs {
		if err := sigs[i].checkKeyName(); err != nil {
			return err
		}
	}
	return nil
}

// String returns the form that [ParseSignature] reads.
func (s Signature) String() string { return string(s.appendString(nil)) }

func (s Signature) appendString(dst []byte) []byte {
	dst = append(append(dst, s.KeyName...), ':')
	return base64.StdEncoding.AppendEncode(dst, s.Data[:])
}

const signatureTextLen = (ed25519.SignatureSize + 2) / 3 * 4

// AppendText implements encoding.TextAppender: [Signature.String]. It fails if
// [ParseSignature] could not read the text.
func (s Signature) AppendText(dst []byte) ([]byte, error) {
	if err := s.checkKeyName(); err != nil {
		return dst, err
	}
	return s.appendString(dst), nil
}

// MarshalText implements encoding.TextMarshaler. See [Signature.AppendText].
func (s Signature) MarshalText() ([]byte, error) { return s.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler: [ParseSignature].
func (s *Signature) UnmarshalText(text []byte) error {
	parsed, err := ParseSignature(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// addSignature inserts sig unless sigs contains it. Sorted signatures stay sorted.
func addSignature(sigs []Signature, sig Signature) []Signature {
	if slices.Contains(sigs, sig) {
		return sigs
	}
	i, _ := slices.BinarySearchFunc(sigs, sig, compareText)
	return slices.Insert(sigs, i, sig)
}

// inNixOrder returns the signatures without repetitions, in an order in which
// Nix writes them. Older Nix sorts them by their texts, newer Nix by name and
// bytes. Signatures in either order stay as they are; others are sorted by text.
func inNixOrder(sigs []Signature) []Signature {
	if ascend(sigs, compareText) || ascend(sigs, compareBytes) {
		return sigs
	}
	sigs = slices.Clone(sigs)
	slices.SortFunc(sigs, compareText)
	return slices.Compact(sigs)
}

// ascend reports whether the signatures are sorted and none is repeated.
func ascend(sigs []Signature, compare func(a, b Signature) int) bool {
	for i := 1; i < len(sigs); i++ {
		if compare(sigs[i-1], sigs[i]) >= 0 {
			return false
		}
	}
	return true
}

// compareText orders signatures by their texts.
func compareText(a, b Signature) int {
	var x, y [maxKeyName + 1 + signatureTextLen]byte
	return bytes.Compare(a.appendString(x[:0]), b.appendString(y[:0]))
}

// compareBytes orders signatures by their names, then by their bytes.
func compareBytes(a, b Signature) int {
	if c := strings.Compare(a.KeyName, b.KeyName); c != 0 {
		return c
	}
	return bytes.Compare(a.Data[:], b.Data[:])
}

// maxKeyName bounds the length of key names, which are part of error messages.
const maxKeyName = 255

// checkKeyName returns an error for a wrong name of a key. Names precede a colon,
// and occur in lists that white space separates, in lines, and in messages on
// terminals. The errors do not quote the name, which may be a secret by mistake.
// A caller that knows it is not may quote it.
func checkKeyName(name string) error {
	if name == "" {
		return errors.New("key name is empty")
	}
	if len(name) > maxKeyName {
		return fmt.Errorf("key name has %d bytes, at most %d are allowed", len(name), maxKeyName)
	}
	if keyNameBytes.Outside(name) >= 0 {
		return checkKeyNameRunes(name)
	}
	return nil
}

// keyNameBytes is visible ASCII except for the colon. Names of other bytes are
// checked rune by rune.
var keyNameBytes = charset.Of("!\"#$%&'()*+,-./0123456789;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~")

func checkKeyNameRunes(name string) error {
	if !utf8.ValidString(name) {
		return errors.New("key name is not valid UTF-8")
	}
	for i, r := range name {
		if r == ':' || unicode.IsSpace(r) || unicode.IsControl(r) {
			return fmt.Errorf("key name has %q at byte %d, expected no colon, white space or control character", r, i)
		}
	}
	return nil
}

// decodeBase64 fills dst from text, which must have the matching length. The
// errors do not quote the text, which may be a secret.
func decodeBase64(dst []byte, text string, encoding *base64.Encoding) error {
	if want := encoding.EncodedLen(len(dst)); len(text) != want {
		return fmt.Errorf("%d characters of base64, expected %d", len(text), want)
	}
	var buf [ed25519.PrivateKeySize + 2]byte // missing padding decodes to two more bytes
	n, err := encoding.Decode(buf[:], []byte(text))
	if err != nil || n != len(dst) {
		return fmt.Errorf("malformed base64, expected that of %d bytes", len(dst))
	}
	copy(dst, buf[:])
	return nil
}

// clip shortens text from outside for an error message.
func clip(s string) string {
	const limit = 120
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
