package narinfo

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/nixs3/narinfo/nixhash"
)

// Compression is the name of the compression of a NAR in a cache. Nix knows
// none, br, bzip2, compress, grzip, gzip, lrzip, lz4, lzip, lzma, lzop, xz and
// zstd. A narinfo may have another name.
type Compression string

// The compressions that caches commonly have.
const (
	CompressionNone   Compression = "none"
	CompressionBrotli Compression = "br"
	CompressionBzip2  Compression = "bzip2"
	CompressionXz     Compression = "xz"
	CompressionZstd   Compression = "zstd"
)

// Known reports whether Nix knows the name.
func (c Compression) Known() bool {
	switch c {
	case "none", "br", "bzip2", "compress", "grzip", "gzip", "lrzip", "lz4", "lzip", "lzma", "lzop", "xz", "zstd":
		return true
	}
	return false
}

// NarInfo is the description of a store object in a binary cache: a [PathInfo],
// and where and how the cache stores the object's archive.
type NarInfo struct {
	PathInfo
	URL         string       // of the compressed NAR, relative to the cache's root or absolute
	Compression Compression  // of the NAR at URL; [Parse] never leaves it empty
	FileHash    nixhash.Hash // of the compressed NAR, zero where unknown
	FileSize    int64        // of the compressed NAR in bytes, 0 where unknown
	Extra       []Field      // other lines, including Sig lines that are not signatures
}

// Field is a line that this package does not understand.
type Field struct {
	Name, Value string
	// Before is the name of the known field that follows the line, even if that
	// field is absent. If there are several Sig lines, it means the first. ""
	// means that the line is at the end.
	Before string
}

// Names of the lines, in the order in which Nix writes them.
const (
	fieldStorePath   = "StorePath"
	fieldURL         = "URL"
	fieldCompression = "Compression"
	fieldFileHash    = "FileHash"
	fieldFileSize    = "FileSize"
	fieldNarHash     = "NarHash"
	fieldNarSize     = "NarSize"
	fieldReferences  = "References"
	fieldDeriver     = "Deriver"
	fieldSig         = "Sig"
	fieldCA          = "CA"
)

var narInfoFields = []string{
	fieldStorePath, fieldURL, fieldCompression, fieldFileHash, fieldFileSize, fieldNarHash,
	fieldNarSize, fieldReferences, fieldDeriver, fieldSig, fieldCA,
}

// check returns an error if the field cannot be written among lines of the known
// names.
func (f Field) check(known []string) error {
	switch {
	case strings.ContainsAny(f.Name, ":\n") || strings.Contains(f.Value, "\n"):
		return fmt.Errorf("extra field %q has a colon or a line end", clip(f.Name))
	case f.Name == fieldSig && slices.Contains(known, fieldSig):
		if _, err := ParseSignature(f.Value); err == nil {
			return fmt.Errorf("extra field %q is a signature", clip(f.Value))
		}
	case slices.Contains(known, f.Name):
		return fmt.Errorf("extra field %q has the name of a known field", f.Name)
	case f.Before != "" && !slices.Contains(known, f.Before):
		return fmt.Errorf("extra field %q belongs before %q, which is not a known field", clip(f.Name), clip(f.Before))
	}
	return nil
}

// Validate returns all inconsistencies of n, joined: those that
// [PathInfo.Validate] finds, the first of the other fields that cannot be
// written, a compression that Nix does not know, and an uncompressed file whose
// hash or size differs from the NAR's.
func (n *NarInfo) Validate() error {
	var problems []error
	add := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	add(n.PathInfo.Validate())
	add(n.checkFile())
	if n.Compression != "" && !n.Compression.Known() {
		add(fmt.Errorf("Compression %q is not known to Nix", clip(string(n.Compression))))
	}
	if n.FileSize == 0 && !n.FileHash.IsZero() {
		add(errors.New("FileSize is zero"))
	}
	if n.Compression == CompressionNone {
		if n.FileHash.Algorithm() == n.NarHash.Algorithm() && n.FileHash != n.NarHash {
			add(fmt.Errorf("FileHash %v is not NarHash %v, but Compression is none", n.FileHash, n.NarHash))
		}
		if n.FileSize > 0 && n.FileSize != n.NarSize {
			add(fmt.Errorf("FileSize %d is not NarSize %d, but Compression is none", n.FileSize, n.NarSize))
		}
	}
	return errors.Join(problems...)
}

// checkFile returns an error if a field outside of PathInfo cannot be written.
func (n *NarInfo) checkFile() error {
	switch {
	case n.URL == "":
		return errors.New("URL is missing")
	case strings.IndexByte(n.URL, '\n') >= 0:
		return fmt.Errorf("URL %q has a line end", clip(n.URL))
	case n.Compression == "":
		return fmt.Errorf("Compression is missing, expected %q or another", CompressionNone)
	case strings.IndexByte(string(n.Compression), '\n') >= 0:
		return fmt.Errorf("Compression %q has a line end", clip(string(n.Compression)))
	case n.FileSize < 0:
		return fmt.Errorf("FileSize is %d", n.FileSize)
	}
	for _, field := range n.Extra {
		if err := field.check(narInfoFields); err != nil {
			return err
		}
	}
	return nil
}

// Equal reports whether n and m have the same contents, as in [PathInfo.Equal].
// It ignores the places of the lines in Extra.
func (n *NarInfo) Equal(m *NarInfo) bool {
	return n.PathInfo.Equal(&m.PathInfo) &&
		n.URL == m.URL &&
		n.Compression == m.Compression &&
		n.FileHash == m.FileHash &&
		n.FileSize == m.FileSize &&
		slices.Equal(withoutPlaces(n.Extra), withoutPlaces(m.Extra))
}

// withoutPlaces returns the fields without their places, sorted.
func withoutPlaces(extra []Field) []Field {
	lines := slices.Clone(extra)
	for i := range lines {
		lines[i].Before = ""
	}
	slices.SortFunc(lines, func(a, b Field) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
	})
	return lines
}

// Clone returns a deep copy of n.
func (n *NarInfo) Clone() *NarInfo {
	m := *n
	m.PathInfo = n.PathInfo.clone()
	m.Extra = slices.Clone(n.Extra)
	return &m
}
