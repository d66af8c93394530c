package narinfo

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrUntrusted matches every [*UntrustedError] by errors.Is.
var ErrUntrusted = errors.New("not signed by a trusted key")

// UntrustedError is the error for a store object or a realisation without a good
// signature by a trusted key.
type UntrustedError struct {
	Subject  string   // store path or realisation
	SignedBy []string // names of the keys that claim to have signed it
	Bad      []string // names of trusted keys in signatures that do not verify
	Trusted  []string // names of the trusted keys
	CA       error    // why its content address is not sufficient, nil if it has none
}

// Error returns one line with all fields.
func (e *UntrustedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %v: ", e.Subject, ErrUntrusted)
	if len(e.SignedBy) == 0 {
		b.WriteString("it has no signatures")
	} else {
		b.WriteString("signed by " + quoteNames(e.SignedBy...))
	}
	if len(e.Bad) > 0 {
		b.WriteString(", of which do not verify: " + quoteNames(e.Bad...))
	}
	if len(e.Trusted) == 0 {
		b.WriteString("; no keys are trusted")
	} else {
		b.WriteString("; trusted are " + quoteNames(e.Trusted...))
	}
	if e.CA != nil {
		fmt.Fprintf(&b, "; %v", e.CA)
	}
	return b.String()
}

// quoteNames joins names. It quotes those with characters that are unsafe on a
// terminal or that could be taken for a part of the message.
func quoteNames(names ...string) string {
	shown := make([]string, len(names))
	for i, name := range names {
		shown[i] = name
		if quoted := strconv.Quote(name); quoted != `"`+name+`"` || strings.ContainsAny(name, " ,;") {
			shown[i] = quoted
		}
	}
	return strings.Join(shown, ", ")
}

// Is makes errors.Is find [ErrUntrusted].
func (e *UntrustedError) Is(target error) bool { return target == ErrUntrusted }

// TrustedKeys are public keys, of which one good signature by any is sufficient.
// Two keys may have the same name, as while one replaces the other. TrustedKeys
// are safe for concurrent use.
type TrustedKeys []PublicKey

// ParseTrustedKeys reads public keys with white space between them, as in
// Nix's setting trusted-public-keys. The result has repeated keys once. Errors
// name the wrong key by its number from 1, and do not quote it; see
// [ParsePublicKey].
func ParseTrustedKeys(s string) (TrustedKeys, error) {
	var keys TrustedKeys
	number := 0
	for field := range strings.FieldsSeq(s) {
		number++
		key, err := ParsePublicKey(field)
		if err != nil {
			return nil, fmt.Errorf("trusted key %d: %w", number, err)
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// String returns the form that [ParseTrustedKeys] reads.
func (keys TrustedKeys) String() string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = key.String()
	}
	return strings.Join(texts, " ")
}

// Verify returns nil if any of the keys verifies any signature of info, or if
// [PathInfo.VerifyContentAddress] returns nil. In the second case the contents
// may remain to be compared; see there. Otherwise the error is an
// [*UntrustedError], or that of [PathInfo.Fingerprint].
func (keys TrustedKeys) Verify(info *PathInfo) error {
	var buf fingerprintBuffer
	fingerprint, err := info.AppendFingerprint(buf[:0])
	if err != nil {
		return err
	}
	var caErr error
	if !info.CA.IsZero() {
		if caErr = info.VerifyContentAddress(); caErr == nil {
			return nil
		}
	}
	if keys.anyGood(fingerprint, info.Signatures) {
		return nil
	}
	return keys.untrusted(info.StoreDir.Join(info.Path), info.Signatures, caErr)
}

func (keys TrustedKeys) anyGood(message []byte, sigs []Signature) bool {
	for _, sig := range sigs {
		for _, key := range keys {
			if key.Verify(message, sig) {
				return true
			}
		}
	}
	return false
}

func (keys TrustedKeys) untrusted(subject string, sigs []Signature, caErr error) error {
	e := &UntrustedError{Subject: subject, CA: caErr}
	for _, key := range keys {
		e.Trusted = appendNew(e.Trusted, key.name)
	}
	for _, sig := range sigs {
		e.SignedBy = appendNew(e.SignedBy, sig.KeyName)
		if slices.Contains(e.Trusted, sig.KeyName) {
			e.Bad = appendNew(e.Bad, sig.KeyName)
		}
	}
	return e
}

func appendNew(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}
