package nar

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	magic = "nix-archive-1"

	tagRegular   = "regular"
	tagDirectory = "directory"
	tagSymlink   = "symlink"

	// Bounds that Nix sets on what it reads.
	maxName   = 255
	maxTarget = 4095
	maxDepth  = 64 // a node has fewer ancestors

	maxToken = 8 + maxTarget + 1 // the longest string except contents, with length and padding
)

// padding returns the number of zero bytes after a string of n bytes.
func padding(n int64) int { return int(-n & 7) }

var zeros [8]byte

// appendString appends str(s).
func appendString(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	b = append(b, s...)
	return append(b, zeros[:padding(int64(len(s)))]...)
}

// checkName returns why a directory cannot have a name, or nil.
func checkName(name []byte) error {
	switch {
	case len(name) == 0:
		return errors.New("empty name")
	case len(name) > maxName:
		return fmt.Errorf("name of %d bytes, at most %d are allowed", len(name), maxName)
	case string(name) == "." || string(name) == "..":
		return fmt.Errorf("name %s is reserved", quote(string(name)))
	case bytes.IndexByte(name, '/') >= 0 || bytes.IndexByte(name, 0) >= 0:
		return fmt.Errorf("name %s has a slash or a NUL", quote(string(name)))
	}
	return nil
}

// checkTarget returns why a link cannot have a target, or nil.
func checkTarget(target []byte) error {
	switch {
	case len(target) == 0:
		return errors.New("empty link target")
	case len(target) > maxTarget:
		return fmt.Errorf("link target of %d bytes, at most %d are allowed", len(target), maxTarget)
	case bytes.IndexByte(target, 0) >= 0:
		return errors.New("link target has a NUL")
	}
	return nil
}
