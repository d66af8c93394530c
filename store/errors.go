package store

import (
	"errors"
	"fmt"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/graph"
)

// Sentinels for errors.Is. The others of package blob, such as blob.ErrStalled
// and blob.ErrNoSuchBucket, pass through unchanged.
var (
	ErrNotFound     = blob.ErrNotFound
	ErrAccessDenied = blob.ErrAccessDenied

	// ErrUntrusted is a store object without a signature by a trusted key.
	ErrUntrusted = narinfo.ErrUntrusted

	// ErrMissingReference is an object whose references are not all in the
	// cache. The error is a *MissingReferenceError.
	ErrMissingReference = errors.New("missing reference")

	// ErrMismatch is bytes that differ from what was claimed of them. The error
	// is a *HashMismatchError or a *SizeMismatchError.
	ErrMismatch = errors.New("contents do not match what was claimed")

	// ErrStoreDir is a cache for another store directory.
	ErrStoreDir = errors.New("cache is for another store directory")

	// ErrCycle is a set of paths that refer to each other in a circle.
	ErrCycle = graph.ErrCycle

	// ErrTooLarge is a closure that exceeds its Limits.
	ErrTooLarge = graph.ErrTooLarge

	// ErrReferenced is a path that cannot be deleted because others refer to it.
	// The error is a *ReferencedError.
	ErrReferenced = errors.New("other paths refer to it")
)

// HashMismatchError is contents with another hash than was claimed.
type HashMismatchError struct {
	Path        storepath.Path
	Key         string // of the object read, empty where the bytes came from the caller
	Field       string // "NarHash", "FileHash" or "CA"
	Wanted, Got nixhash.Hash
}

func (e *HashMismatchError) Error() string {
	return subject(e.Path, e.Key) + ": " + e.reason()
}

func (e *HashMismatchError) reason() string {
	return fmt.Sprintf("%s mismatch: expected %s, got %s", e.Field, e.Wanted, e.Got)
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
	return subject(e.Path, e.Key) + ": " + e.reason()
}

func (e *SizeMismatchError) reason() string {
	more := ""
	if e.Got > e.Wanted {
		more = "at least "
	}
	return fmt.Sprintf("%s mismatch: expected %d bytes, got %s%d", e.Field, e.Wanted, more, e.Got)
}

// Is reports whether target is ErrMismatch.
func (e *SizeMismatchError) Is(target error) bool { return target == ErrMismatch }

// MissingReferenceError names the references of a path that a cache lacks.
type MissingReferenceError struct {
	StoreDir   storepath.Dir // of the paths
	Path       storepath.Path
	References []storepath.Path
}

func (e *MissingReferenceError) Error() string {
	return fmt.Sprintf("%s cannot be published: the cache lacks its reference%s %s; copy the closure, or add what is missing first",
		e.StoreDir.Join(e.Path), plural(len(e.References)), join(e.StoreDir, e.References))
}

// Is reports whether target is ErrMissingReference.
func (e *MissingReferenceError) Is(target error) bool { return target == ErrMissingReference }

// ReferencedError names the paths that refer to one that was to be deleted.
type ReferencedError struct {
	StoreDir storepath.Dir // of the paths
	Path     storepath.Path
	Users    []storepath.Path
}

func (e *ReferencedError) Error() string {
	return fmt.Sprintf("%s cannot be deleted: %s to it; delete what refers to it too", e.StoreDir.Join(e.Path), refer(join(e.StoreDir, e.Users), len(e.Users)))
}

// Is reports whether target is ErrReferenced.
func (e *ReferencedError) Is(target error) bool { return target == ErrReferenced }

func refer(users string, n int) string {
	if n == 1 {
		return users + " refers"
	}
	return users + " refer"
}

// maxNamed bounds the paths that a message names.
const maxNamed = 10

func join(dir storepath.Dir, paths []storepath.Path) string {
	var names []string
	for _, p := range paths[:min(len(paths), maxNamed)] {
		names = append(names, string(dir.Join(p)))
	}
	if more := len(paths) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

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

// isAbsent reports whether an error means that a path is missing, or the bucket
// does not exist yet.
func isAbsent(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, blob.ErrNoSuchBucket)
}
