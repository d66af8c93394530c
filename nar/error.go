package nar

import (
	"fmt"
	"strconv"
)

// FormatError reports where and how bytes are not a NAR.
type FormatError struct {
	Offset int64  // in the NAR, of the first byte that is wrong or missing
	Path   string // of the file system object that is being read
	Reason string

	// Err is io.ErrUnexpectedEOF if the NAR ends early, and nil otherwise.
	Err error
}

// Error returns offset, path and reason in one line.
func (e *FormatError) Error() string {
	s := "nar: offset " + strconv.FormatInt(e.Offset, 10)
	if e.Path != "" {
		s += ", " + strconv.Quote(e.Path)
	}
	return s + ": " + e.Reason
}

// Unwrap returns Err.
func (e *FormatError) Unwrap() error { return e.Err }

// quote prints bytes from outside for a message, and shortens them.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
