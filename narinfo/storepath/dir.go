package storepath

import (
	"fmt"
	"path"
	"strings"
)

// Dir is a store directory: an absolute path without a slash at its end. Every
// computed store path hashes its directory, so paths of different directories
// are never the same object.
type Dir string

// Default is the usual store directory of Nix.
const Default Dir = "/nix/store"

// maxDirLen is Linux's bound for a path in bytes.
const maxDirLen = 4096

// Validate returns an error unless d is absolute, in its shortest form, not the
// root, without control characters and of at most 4096 bytes.
func (d Dir) Validate() error {
	s := string(d)
	switch {
	case len(s) > maxDirLen:
		return fmt.Errorf("store directory has %d bytes, at most %d are allowed", len(s), maxDirLen)
	case s == "":
		return fmt.Errorf("store directory is empty, usually it is %q", Default)
	case !strings.HasPrefix(s, "/"):
		return fmt.Errorf("store directory %q is not absolute", clip(s))
	case s == "/" || path.Clean(s) != s:
		return fmt.Errorf("store directory %q is not in its shortest form", clip(s))
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return fmt.Errorf("store directory %q has a control character", clip(s))
		}
	}
	return nil
}

// Join returns the full path of p.
func (d Dir) Join(p Path) string { return string(d) + "/" + p.base }

// AppendJoin appends what [Dir.Join] returns to dst.
func (d Dir) AppendJoin(dst []byte, p Path) []byte {
	return append(append(append(dst, d...), '/'), p.base...)
}

// Parse reads the full path of a store object. The path of a file inside of a
// store object is an error; see [Dir.Split].
func (d Dir) Parse(full string) (Path, error) {
	base, err := d.trim(full)
	if err != nil {
		return Path{}, err
	}
	if err := checkBase(base); err != nil {
		return Path{}, fmt.Errorf("store path %q: %w", clip(full), err)
	}
	return Path{base}, nil
}

// Split reads the path of a store object or of a file inside of it. sub is the
// path relative to the store object, without slashes around it, and "" for the
// store object itself. One slash at the end is allowed. The elements ".", ".."
// and "" are errors, since with them sub could lead out of the store object.
func (d Dir) Split(full string) (p Path, sub string, err error) {
	rest, err := d.trim(full)
	if err != nil {
		return Path{}, "", err
	}
	base, sub, _ := strings.Cut(rest, "/")
	if err := checkBase(base); err != nil {
		return Path{}, "", fmt.Errorf("store path %q: %w", clip(full), err)
	}
	if sub, err = trimSub(sub); err != nil {
		return Path{}, "", fmt.Errorf("path %q: %w", clip(full), err)
	}
	return Path{base}, sub, nil
}

// trimSub checks the path of a file inside of a store object, and removes the
// slash at its end.
func trimSub(sub string) (string, error) {
	if sub == "" {
		return "", nil
	}
	sub = strings.TrimSuffix(sub, "/")
	for element := range strings.SplitSeq(sub, "/") {
		if element == "" || element == "." || element == ".." {
			return "", fmt.Errorf("element %q after the store object, expected the name of a file", element)
		}
	}
	return sub, nil
}

func (d Dir) trim(full string) (string, error) {
	rest, ok := strings.CutPrefix(full, string(d))
	if !ok || d == "" || !strings.HasPrefix(rest, "/") {
		return "", fmt.Errorf("path %q is not in the store directory %q", clip(full), clip(string(d)))
	}
	return rest[1:], nil
}
