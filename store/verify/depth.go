package verify

import (
	"fmt"
	"strings"
)

// Depth is how much of a cache Check looks at. Each depth includes those above
// it in this list.
type Depth uint8

const (
	// Listing compares the narinfos with the listing of the bucket: every
	// narinfo has its archive of its FileSize, every archive and every listing
	// has a narinfo. It reads each narinfo that the journal does not know, and
	// no archive.
	Listing Depth = iota

	// Metadata looks at what the narinfos say: they describe themselves, their
	// references are in the cache, keys have signed them, their content
	// addresses make their paths, and SHA-256 checksums that the server keeps
	// are their FileHashes. A HEAD asks for the checksum of each archive, of a
	// few only where the server keeps none.
	Metadata

	// Files reads every archive and compares it with FileHash and FileSize.
	Files

	// Contents decompresses every archive and compares it with NarHash,
	// NarSize, content address, listing, index, debuginfo links and references.
	// It also reads logs, realisations, and the indexes of the whole cache. A log
	// in plain text has nothing that it could be compared with.
	Contents
)

var depthNames = [...]string{Listing: "listing", Metadata: "metadata", Files: "files", Contents: "contents"}

// String returns the name that ParseDepth reads.
func (d Depth) String() string {
	if int(d) >= len(depthNames) {
		return fmt.Sprintf("Depth(%d)", uint8(d))
	}
	return depthNames[d]
}

// ParseDepth reads the name of a depth: listing, metadata, files or contents.
func ParseDepth(s string) (Depth, error) {
	for d, name := range depthNames {
		if s == name {
			return Depth(d), nil
		}
	}
	return 0, fmt.Errorf("depth %q: expected %s", s, strings.Join(depthNames[:], ", "))
}

// MarshalText implements encoding.TextMarshaler.
func (d Depth) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Depth) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDepth(string(text))
	return err
}
