package narinfo

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrUntrusted is what errors.Is finds in the errors of [TrustedKeys.Verify].
var ErrUntrusted = errors.New("not signed by a trusted key")

// UntrustedError says whose signatures something has, and whose would do.
type UntrustedError struct {
	Subject  string   // store path or realisation
	SignedBy []string // names of the keys that claim to have signed it
	Bad      []string // those of them that are trusted, but whose signature is not theirs
	Trusted  []string // names of the trusted keys
	CA       error    // why its content address does not stand for it, nil where it has none
}

// Error returns one line with all of it.
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

// quoteNames joins names. Those with anything that is not for a terminal, or
// that could pass for more of the message, come in quotes.
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

// TrustedKeys are the keys of which any one is enough. Two keys may have one
// name, as while one replaces the other. Safe for concurrent use.
type TrustedKeys []PublicKey

// ParseTrustedKeys reads public keys with white space between them, as in
// Nix's setting trusted-public-keys. Repeated keys are taken once. Errors say
// which of the keys is wrong by its number from 1, and quote none, as in
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

// Verify returns nil when any signature of info is good by any of the keys, or
// when [PathInfo.VerifyContentAddress] returns nil; its comment says what then
// remains to be checked. Else the error is an [*UntrustedError], or says why
// info has no fingerprint.
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
