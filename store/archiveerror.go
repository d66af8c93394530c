package store

import (
	"errors"

	"example.com/nixs3/store/blob"
)

// archiveError is an archive that cannot be taken into a cache: it cannot be
// read, is damaged, or is not what was claimed.
type archiveError struct {
	what string // names the archive, once
	err  error
}

func (e *archiveError) Error() string {
	if m, ok := errors.AsType[reasoned](e.err); ok { // which names the path too
		return e.what + ": " + m.reason()
	}
	return e.what + ": " + e.err.Error()
}

func (e *archiveError) Unwrap() error { return e.err }

// from names the archive by its place at the source of a copy, whose error names
// the path.
func (e *archiveError) from(src *copySource, n *node) error {
	if _, ok := errors.AsType[*blob.Error](e.err); ok {
		return e.err // it names the object and the bucket
	}
	what := "archive in " + src.String()
	if n.file != nil {
		what = "archive " + n.file.URL + " in " + src.String()
	}
	return &archiveError{what: what, err: e.err}
}

// objectError is an error about an object that was read.
type objectError struct {
	subject string // names the path and the object
	err     error
}

func (e *objectError) Error() string  { return e.subject + ": " + e.err.Error() }
func (e *objectError) Unwrap() error  { return e.err }
func (e *objectError) reason() string { return e.err.Error() }

// reasoned is a *HashMismatchError, a *SizeMismatchError or an *objectError.
type reasoned interface {
	error
	reason() string // without the path
}
