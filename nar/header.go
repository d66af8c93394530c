package nar

import "strconv"

// Type is the kind of a file system object. The zero value is not a kind.
type Type uint8

// The kinds of file system objects that a NAR can hold.
const (
	TypeRegular Type = iota + 1
	TypeDirectory
	TypeSymlink
)

// String returns the name of the type in NARs and listings.
func (t Type) String() string {
	switch t {
	case TypeRegular:
		return tagRegular
	case TypeDirectory:
		return tagDirectory
	case TypeSymlink:
		return tagSymlink
	}
	return "Type(" + strconv.Itoa(int(t)) + ")"
}

// Header describes one file system object of a NAR.
type Header struct {
	Path          string // slash-separated, "" for the root
	Type          Type
	Executable    bool   // regular files only
	Size          int64  // of the contents, in bytes; regular files only
	ContentOffset int64  // where the contents begin in the NAR; regular files only, ignored by Writer
	LinkTarget    string // symbolic links only
}
