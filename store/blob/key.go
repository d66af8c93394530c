package blob

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxKeyLength is the greatest length of a key in bytes, as in S3.
const MaxKeyLength = 1024

// ErrInvalidKey says that no object of the bucket can have the key. Reading
// such a key fails with [ErrNotFound] and deleting it does nothing.
var ErrInvalidKey = errors.New("invalid key")

// ValidateKey returns an error that wraps [ErrInvalidKey] unless key is a key as
// [Bucket] defines it.
func ValidateKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidKey)
	case len(key) > MaxKeyLength:
		return fmt.Errorf("%w: it has %d bytes, more than %d", ErrInvalidKey, len(key), MaxKeyLength)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: it is not UTF-8", ErrInvalidKey)
	case strings.IndexByte(key, 0) >= 0:
		return fmt.Errorf("%w: it contains NUL", ErrInvalidKey)
	}
	return nil
}
