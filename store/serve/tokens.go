package serve

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// tokenEntry is a line of a token file.
type tokenEntry struct {
	id   Identity
	hash [sha256.Size]byte
}

// TokenFile is a TokenVerifier with a file of hashed tokens, which is read
// again when it has changed. Each line has a name, what the owner may (read,
// push or read,push) and the hash of the token, separated by spaces:
//
//	ci-main read,push sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
//
// Empty lines and those that begin with # do not count. The hash is plain
// SHA-256, so tokens must be random, as [NewToken] makes them.
type TokenFile struct{ entries *reloaded[[]tokenEntry] }

// OpenTokenFile reads a token file. The logger gets a warning when a changed
// file cannot be read, and the tokens from before stay good.
func OpenTokenFile(name string, logger *slog.Logger) (*TokenFile, error) {
	load := func() ([]tokenEntry, error) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		entries, err := parseTokens(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return entries, nil
	}
	warn := func(err error) {
		if logger != nil {
			logger.Error("tokens stay as they were", "error", err)
		}
	}
	entries, err := newReloaded([]string{name}, load, warn)
	if err != nil {
		return nil, err
	}
	return &TokenFile{entries}, nil
}

func parseTokens(text string) ([]tokenEntry, error) {
	var entries []tokenEntry
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		// The line itself may be a token by mistake, so no message has it.
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %d: expected a name, an access and a hash, got %d fields", number, len(fields))
		}
		access, err := ParseAccess(fields[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		digits, ok := strings.CutPrefix(fields[2], "sha256:")
		sum, err := hex.DecodeString(digits)
		if !ok || err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("line %d: expected sha256: and 64 hexadecimal digits", number)
		}
		entries = append(entries, tokenEntry{Identity{fields[0], access}, [sha256.Size]byte(sum)})
	}
	return entries, nil
}

// ParseAccess reads none, read, push or read,push.
func ParseAccess(text string) (Access, error) {
	var a Access
	for word := range strings.SplitSeq(text, ",") {
		switch word {
		case "none":
		case "read":
			a |= AccessRead
		case "push":
			a |= AccessPush
		default:
			return 0, fmt.Errorf("access: expected none, read, push or read,push, got %q", word)
		}
	}
	return a, nil
}

// Verify implements TokenVerifier. It compares with every line in a time that
// does not depend on the token.
func (f *TokenFile) Verify(_ context.Context, token string) (Identity, error) {
	sum := sha256.Sum256([]byte(token))
	found := Identity{}
	err := ErrUnknownToken
	for _, e := range f.entries.get() {
		if subtle.ConstantTimeCompare(sum[:], e.hash[:]) == 1 {
			found, err = e.id, nil
		}
	}
	return found, err
}

// NewToken returns a random token and its hash as a token file has it.
func NewToken() (token, hash string) {
	token = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(token))
	return token, "sha256:" + hex.EncodeToString(sum[:])
}
