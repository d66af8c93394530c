// Package fileindex is the format of an index of all files of a cache: which
// store path has which files.
//
// An index is a zstd stream of
//
//	"nixs3 files 1\n" <store directory> "\n"
//	<record> … for each store path, in the order of the paths' hash parts
//	0 <number of records>
//
// A record is the length of the path's base name, the base name, the length of
// the entries, and the entries. An entry has a byte for its type, the number of
// bytes that its file name shares with the one before it, the length of the rest,
// the rest, and the size of a regular file or the length and the text of a link's
// target. All numbers are uvarints. The file names are relative to the store
// path, whose own is empty.
//
// An index comes from outside. Readers bound each length before they allocate,
// and hold one record at a time.
package fileindex

import (
	"errors"
	"fmt"
)

const magic = "nixs3 files 1\n"

const (
	// maxDir bounds the store directory in bytes, maxBase the base name of a
	// store path.
	maxDir  = 4096
	maxBase = 255

	// MaxRecord bounds the entries of a store path in bytes, as encoded.
	MaxRecord = 64 << 20

	// maxName bounds the name of a file relative to its store path, maxTarget
	// the target of a link, in bytes.
	maxName   = 64 << 10
	maxTarget = 4095

	// maxSize bounds an index in bytes, decompressed.
	maxSize = 256 << 30

	// maxWindow bounds the window of the zstd stream, 8 times that of the
	// writer.
	maxWindow = 32 << 20
)

// ErrFormat reports that data is not an index of files, or not all of one.
var ErrFormat = errors.New("not an index of files")

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}
