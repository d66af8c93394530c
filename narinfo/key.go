package narinfo

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Signer signs the fingerprints of store objects. A [SecretKey] is one; others
// reach a key management service, a hardware module or an agent. Signers are
// safe for concurrent use.
//
// A signer should also have a method Public() PublicKey. Sign of [PathInfo] and
// [Realisation] then verifies its signatures by that key, so that a wrong key in
// a service is detected before anything is published.
type Signer interface {
	// KeyName returns the name of the key in its signatures, such as
	// "cache.example.org-1". Readers find the public key by it.
	KeyName() string

	// Sign signs the fingerprint's bytes with Ed25519, without hashing them
	// first. It must return promptly when the context is cancelled.
	Sign(ctx context.Context, fingerprint []byte) (Signature, error)
}

// SecretKey is a named Ed25519 key that signs. It is a [Signer], and safe for
// concurrent use. Only [SecretKey.Reveal] returns the key itself: package fmt
// prints the name for every verb, and package encoding/json prints nothing. Two
// keys are == if one is a copy of the other.
type SecretKey struct {
	name string
	// A function hides the key from reflection: from fmt on a struct that has
	// a SecretKey in an unexported field, from the diffs of test libraries and
	// from debug loggers. Functions do not compare, so without the pointer ==
	// of Signers would panic.
	private *func() ed25519.PrivateKey
}

// GenerateKey makes a key from 32 bytes of random, or of crypto/rand if random is
// nil. Nix's manual suggests the host name of the cache with a number at the end
// as name, so that another key can replace it later.
func GenerateKey(name string, random io.Reader) (SecretKey, error) {
	if err := checkKeyName(name); err != nil {
		return SecretKey{}, fmt.Errorf("generate key %q: %w", clip(name), err)
	}
	if random == nil {
		random = rand.Reader
	}
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return SecretKey{}, fmt.Errorf("generate key %q: %w", name, err)
	}
	return newSecretKey(name, ed25519.NewKeyFromSeed(seed[:])), nil
}

func newSecretKey(name string, private ed25519.PrivateKey) SecretKey {
	reveal := func() ed25519.PrivateKey { return private }
	return SecretKey{name, &reveal}
}

// ParseSecretKey reads a key as "nix key generate-secret" writes it: "<name>:"
// and the base64 of seed and public key, 64 bytes. It ignores white space around
// the text. No error quotes any of the text, which may have the secret in place
// of the name.
func ParseSecretKey(s string) (SecretKey, error) {
	name, text, ok := strings.Cut(strings.TrimSpace(s), ":")
	if !ok {
		return SecretKey{}, errors.New("secret key has no colon, expected <name>:<base64>")
	}
	if err := checkKeyName(name); err != nil {
		return SecretKey{}, fmt.Errorf("secret key: %w", err)
	}
	var key [ed25519.PrivateKeySize]byte
	if err := decodeBase64(key[:], text, base64.StdEncoding); err != nil {
		return SecretKey{}, fmt.Errorf("secret key: %w", err)
	}
	private := ed25519.NewKeyFromSeed(key[:ed25519.SeedSize])
	if !private.Equal(ed25519.PrivateKey(key[:])) {
		return SecretKey{}, errors.New("secret key: its public half does not belong to its seed")
	}
	return newSecretKey(name, private), nil
}

// maxKeyFile bounds the size of a key file in bytes.
const maxKeyFile = 4096

// LoadSecretKey reads a key from a file, in the form that [ParseSecretKey] reads.
// The file has at most 4096 bytes.
func LoadSecretKey(path string) (SecretKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return SecretKey{}, fmt.Errorf("secret key file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return SecretKey{}, fmt.Errorf("secret key file: %w", err)
	}
	if len(data) > maxKeyFile {
		return SecretKey{}, fmt.Errorf("secret key file %q: more than %d bytes", path, maxKeyFile)
	}
	key, err := ParseSecretKey(string(data))
	if err != nil {
		return SecretKey{}, fmt.Errorf("secret key file %q: %w", path, err)
	}
	return key, nil
}

// KeyName implements [Signer].
func (k SecretKey) KeyName() string { return k.name }

// Sign implements [Signer].
func (k SecretKey) Sign(ctx context.Context, fingerprint []byte) (Signature, error) {
	if k.IsZero() {
		return Signature{}, fmt.Errorf("sign: the secret key is the zero value")
	}
	if err := context.Cause(ctx); err != nil {
		return Signature{}, fmt.Errorf("sign: %w", err)
	}
	return Signature{k.name, [ed25519.SignatureSize]byte(ed25519.Sign((*k.private)(), fingerprint))}, nil
}

// IsZero reports whether k is the zero value, which cannot sign.
func (k SecretKey) IsZero() bool { return k.private == nil }

// Public returns the key that verifies what k signs.
func (k SecretKey) Public() PublicKey {
	if k.IsZero() {
		return PublicKey{}
	}
	return PublicKey{k.name, [ed25519.PublicKeySize]byte((*k.private)()[ed25519.SeedSize:])}
}

// Reveal returns the key in the form that [ParseSecretKey] reads, for a file
// that only its owner may read.
func (k SecretKey) Reveal() string {
	if k.IsZero() {
		return ""
	}
	return k.name + ":" + base64.StdEncoding.EncodeToString((*k.private)())
}

// Format implements fmt.Formatter. For every verb it prints the name and nothing
// of the key.
func (k SecretKey) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, "SecretKey(%s, redacted)", k.name)
}

// PublicKey is a named Ed25519 key that verifies. It compares with ==. The
// zero value is not a key.
type PublicKey struct {
	name string
	key  [ed25519.PublicKeySize]byte
}

// ParsePublicKey reads a key as "nix key convert-secret-to-public" writes it:
// "<name>:" and the base64 of 32 bytes. It ignores white space around the text.
// No error quotes any of the text, which may be a secret key by mistake.
func ParsePublicKey(s string) (PublicKey, error) {
	name, text, ok := strings.Cut(strings.TrimSpace(s), ":")
	if !ok {
		return PublicKey{}, errors.New("public key has no colon, expected <name>:<base64>")
	}
	if err := checkKeyName(name); err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	k := PublicKey{name: name}
	if err := decodeBase64(k.key[:], text, base64.StdEncoding); err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	return k, nil
}

// Name returns the name of the key in its signatures.
func (k PublicKey) Name() string { return k.name }

// IsZero reports whether k is the zero value: no key.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// Verify reports whether sig has the name of the key and is a signature of
// message by it.
func (k PublicKey) Verify(message []byte, sig Signature) bool {
	return !k.IsZero() && sig.KeyName == k.name && ed25519.Verify(k.key[:], message, sig.Data[:])
}

// String returns the form that [ParsePublicKey] reads.
func (k PublicKey) String() string {
	if k.IsZero() {
		return ""
	}
	return k.name + ":" + base64.StdEncoding.EncodeToString(k.key[:])
}

// MarshalText implements encoding.TextMarshaler: [PublicKey.String].
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: [ParsePublicKey], and the
// zero PublicKey for an empty text.
func (k *PublicKey) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*k = PublicKey{}
		return nil
	}
	parsed, err := ParsePublicKey(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}
