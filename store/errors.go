package store

import (
	"errors"
	"fmt"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
)

// Sentinels for errors.Is. Those of the bucket below pass through unchanged.
var (
	ErrNotFound      = blob.ErrNotFound
	ErrAccessDenied  = blob.ErrAccessDenied
	ErrNoSuchBucket  = blob.ErrNoSuchBucket
	ErrNoCredentials = blob.ErrNoCredentials
	ErrReadOnly      = blob.ErrReadOnly

	// ErrUntrusted is a store object without a signature by a trusted key.
	ErrUntrusted = narinfo.ErrUntrusted

	// ErrMissingReference is an object whose references are not all in the
	// cache. The error is a *MissingReferenceError.
	ErrMissingReference = errors.New("missing reference")

	// ErrMismatch is bytes that are not what was claimed of them. The error is
	// a *HashMismatchError or a *SizeMismatchError.
	ErrMismatch = errors.New("contents do not match what was claimed")

	// ErrStoreDir is a cache for another store directory.
	ErrStoreDir = errors.New("cache is for another store directory")

	// ErrCycle is a set of paths that refer to each other in a circle.
	ErrCycle = errors.New("references form a cycle")
)

// HashMismatchError is contents with another hash than was claimed.
type HashMismatchError struct {
	Path        storepath.Path
	Key         string // of the object read, empty where the bytes came from the caller
	Field       string // "NarHash", "FileHash" or "CA"
	Wanted, Got nixhash.Hash
}

func (e *HashMismatchError) Error() string {
	return fmt.Sprintf("%s: %s mismatch: wanted %s, got %s", subject(e.Path, e.Key), e.Field, e.Wanted, e.Got)
}

// Is reports whether target is ErrMismatch.
func (e *HashMismatchError) Is(target error) bool { return target == ErrMismatch }

// SizeMismatchError is contents of another size than was claimed.
type SizeMismatchError struct {
	Path        storepath.Path
	Key         string // as in HashMismatchError
	Field       string // "NarSize" or "FileSize"
	Wanted, Got int64  // bytes; Got is a lower bound where reading stopped at the claim
}

func (e *SizeMismatchError) Error() string {
	more := ""
	if e.Got > e.Wanted {
		more = "at least "
	}
	return fmt.Sprintf("%s: %s mismatch: wanted %d bytes, got %s%d", subject(e.Path, e.Key), e.Field, e.Wanted, more, e.Got)
}

// Is reports whether target is ErrMismatch.
func (e *SizeMismatchError) Is(target error) bool { return target == ErrMismatch }

// MissingReferenceError names the references that a cache lacks.
type MissingReferenceError struct {
	Path       storepath.Path
	References []storepath.Path
}

func (e *MissingReferenceError) Error() string {
	names := make([]string, len(e.References))
	for i, r := range e.References {
		names[i] = r.String()
	}
	return fmt.Sprintf("%s cannot be published: the cache lacks its reference%s %s; copy the closure, or add what is missing first",
		e.Path, plural(len(names)), strings.Join(names, ", "))
}

// Is reports whether target is ErrMissingReference.
func (e *MissingReferenceError) Is(target error) bool { return target == ErrMissingReference }

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func subject(p storepath.Path, key string) string {
	if key == "" {
		return p.String()
	}
	return p.String() + " (" + key + ")"
}
