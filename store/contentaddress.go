package store

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// checkContentAddress fails if the name of a path does not follow from the
// content address that it claims.
func checkContentAddress(info *narinfo.PathInfo) error {
	if info.CA.IsZero() {
		return nil
	}
	if err := info.VerifyContentAddress(); err != nil {
		return fmt.Errorf("%s: %w: %w", info.Path, ErrMismatch, err)
	}
	return nil
}

// refersToItself reports whether the path has a content address and is among
// its own references.
func refersToItself(info *narinfo.PathInfo) bool {
	return !info.CA.IsZero() && slices.Contains(info.References, info.Path)
}

// contentSum computes the hash that a content address claims from the archive
// that is written to it.
type contentSum struct {
	io.Writer

	// finish returns the hash, and the one without offsets where
	// self-references make these two differ.
	finish func() (strict, withoutOffsets nixhash.Hash, err error)

	// strict refuses a content address that holds only without offsets.
	strict bool
}

// verify compares the hash with the claim, if there is one. narHash is the hash
// of the same archive.
func (c *contentSum) verify(info *narinfo.PathInfo, narHash nixhash.Hash, key string) error {
	got, withoutOffsets := narHash, nixhash.Hash{}
	if c != nil {
		var err error
		if got, withoutOffsets, err = c.finish(); err != nil {
			return err
		}
	} else if !addressedByNarHash(info) {
		return nil
	}
	switch info.CA.Hash {
	case got:
		return nil
	case withoutOffsets:
		if c.strict {
			return fmt.Errorf("%s: %w: %w: expected a signature by a trusted key, since its content address omits the offsets of its self-references, as in Nix 2.17 to 2.34 and Lix",
				subject(info.Path, key), ErrUntrusted, ErrMismatch)
		}
		return nil
	}
	return &HashMismatchError{Path: info.Path, Key: key, Field: "CA", Wanted: info.CA.Hash, Got: got}
}

// addressedByNarHash reports whether the hash in the content address is the NAR
// hash, which every reader computes.
func addressedByNarHash(info *narinfo.PathInfo) bool {
	return info.CA.Method == storepath.MethodNAR && info.CA.Hash.Algorithm() == nixhash.SHA256 && !refersToItself(info)
}

// newContentSum returns nil where nothing has to be computed: the path has no
// content address, a Git one, or one that is the NAR hash.
func newContentSum(info *narinfo.PathInfo, strict bool) *contentSum {
	if addressedByNarHash(info) {
		return nil
	}
	switch info.CA.Method {
	case storepath.MethodFlat, storepath.MethodText:
		return newFlatSum(info)
	case storepath.MethodNAR:
		if refersToItself(info) {
			return newModuloSum(info, strict)
		}
		h := nixhash.New(info.CA.Hash.Algorithm())
		return &contentSum{Writer: h, finish: func() (nixhash.Hash, nixhash.Hash, error) { return h.Digest(), nixhash.Hash{}, nil }}
	}
	return nil
}

// newFlatSum hashes the contents of an archive that is one regular file.
func newFlatSum(info *narinfo.PathInfo) *contentSum {
	h := nixhash.New(info.CA.Hash.Algorithm())
	s := &section{w: h}
	var root nar.Header
	v := nar.NewValidator(func(hdr *nar.Header) error {
		if hdr.Path == "" {
			root = *hdr
			s.from, s.to = hdr.ContentOffset, hdr.ContentOffset+hdr.Size
		}
		return nil
	})
	// The validator comes first, so that it finds the section before its bytes are
	// hashed.
	return &contentSum{Writer: io.MultiWriter(v, s), finish: func() (strict, withoutOffsets nixhash.Hash, err error) {
		if root.Type != nar.TypeRegular {
			return strict, withoutOffsets, fmt.Errorf("%s: %w: content address %s: expected a regular file, got a %s", info.Path, ErrMismatch, info.CA, root.Type)
		}
		return h.Digest(), withoutOffsets, nil
	}}
}

// section passes on the bytes between two offsets of its input.
type section struct {
	w             io.Writer
	from, to, pos int64
}

func (s *section) Write(p []byte) (int, error) {
	lo := min(max(s.from-s.pos, 0), int64(len(p)))
	hi := min(max(s.to-s.pos, 0), int64(len(p)))
	s.pos += int64(len(p))
	if lo < hi {
		if _, err := s.w.Write(p[lo:hi]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// newModuloSum computes the "hash modulo" by which Nix names objects that
// mention their own path: that of the archive with every occurrence of its own
// hash part replaced by zero bytes, followed by the offset of each, after a bar.
// The form without the offsets is that of Nix 2.17 to 2.34 and of Lix; it lets a
// forger replace a self-reference by zero bytes.
func newModuloSum(info *narinfo.PathInfo, strict bool) *contentSum {
	h := nixhash.New(info.CA.Hash.Algorithm())
	m := &modulo{w: h, info: info, self: []byte(info.Path.HashPart())}
	return &contentSum{Writer: m, strict: strict, finish: func() (nixhash.Hash, nixhash.Hash, error) {
		m.flush()
		withoutOffsets := h.Digest()
		for _, off := range m.found {
			h.Write(strconv.AppendInt([]byte{'|'}, off, 10))
		}
		return h.Digest(), withoutOffsets, nil
	}}
}

// maxSelfReferences bounds the offsets that are remembered, 8 bytes each.
const maxSelfReferences = 1 << 20

// modulo replaces every occurrence of self by zero bytes.
type modulo struct {
	w     io.Writer // a hash, which never fails
	info  *narinfo.PathInfo
	self  []byte
	tail  []byte // may be the beginning of an occurrence
	pos   int64  // of tail in the archive
	found []int64
}

func (m *modulo) Write(p []byte) (int, error) {
	m.tail = append(m.tail, p...)
	buf := m.tail
	for {
		i := bytes.Index(buf, m.self)
		if i < 0 {
			break
		}
		if len(m.found) == maxSelfReferences {
			return 0, fmt.Errorf("%s: expected at most %d self-references in contents with a content address, got more", m.info.Path, maxSelfReferences)
		}
		m.found = append(m.found, m.pos+int64(len(m.tail)-len(buf)+i))
		clear(buf[i : i+len(m.self)])
		buf = buf[i+len(m.self):]
	}
	keep := min(len(buf), len(m.self)-1)
	m.emit(len(m.tail) - keep)
	return len(p), nil
}

func (m *modulo) emit(n int) {
	m.w.Write(m.tail[:n])
	m.pos += int64(n)
	m.tail = append(m.tail[:0], m.tail[n:]...)
}

func (m *modulo) flush() { m.emit(len(m.tail)) }
