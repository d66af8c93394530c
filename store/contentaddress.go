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

// checkContentAddress fails unless a path that claims a content address has
// the name that follows from it.
func checkContentAddress(info *narinfo.PathInfo) error {
	if info.CA.IsZero() {
		return nil
	}
	if err := info.VerifyContentAddress(); err != nil {
		return fmt.Errorf("%s: %w: %w", info.Path, ErrMismatch, err)
	}
	return nil
}

// checkTrust fails with ErrUntrusted unless one of the keys has signed the path
// or its content address vouches for it. What a content address says of the
// contents is checked when they come; a Git one is not, since nothing here
// computes such hashes, and vouches for nothing.
func checkTrust(keys narinfo.TrustedKeys, info *narinfo.PathInfo) error {
	if info.CA.Method == storepath.MethodGit {
		info = withoutAddress(info)
	}
	return keys.Verify(info)
}

// signedBy reports whether one of the keys has signed the path.
func signedBy(keys narinfo.TrustedKeys, info *narinfo.PathInfo) bool {
	return keys.Verify(withoutAddress(info)) == nil
}

func withoutAddress(info *narinfo.PathInfo) *narinfo.PathInfo {
	info = info.Clone()
	info.CA = storepath.ContentAddress{}
	return info
}

// contentSum computes from an archive that is written to it the hash that a
// content address claims.
type contentSum struct {
	io.Writer
	finish func() (nixhash.Hash, error)
}

// verify compares what was found with the claim, if there is one. narHash is
// what was found too.
func (c *contentSum) verify(info *narinfo.PathInfo, narHash nixhash.Hash, key string) error {
	got := narHash
	if c != nil {
		var err error
		if got, err = c.finish(); err != nil {
			return err
		}
	} else if !addressedByNarHash(info) {
		return nil
	}
	if got != info.CA.Hash {
		return &HashMismatchError{Path: info.Path, Key: key, Field: "CA", Wanted: info.CA.Hash, Got: got}
	}
	return nil
}

// addressedByNarHash reports whether the hash in the content address is that
// of the NAR, which is computed anyway.
func addressedByNarHash(info *narinfo.PathInfo) bool {
	return info.CA.Method == storepath.MethodNAR && info.CA.Hash.Algorithm() == nixhash.SHA256 &&
		!slices.Contains(info.References, info.Path)
}

// newContentSum returns nil where there is nothing to compute: no content
// address, a Git one, or one that is the NAR hash.
func newContentSum(info *narinfo.PathInfo) *contentSum {
	if addressedByNarHash(info) {
		return nil
	}
	switch info.CA.Method {
	case storepath.MethodFlat, storepath.MethodText:
		return newFlatSum(info)
	case storepath.MethodNAR:
		if slices.Contains(info.References, info.Path) {
			return newModuloSum(info)
		}
		h := nixhash.New(info.CA.Hash.Algorithm())
		return &contentSum{h, func() (nixhash.Hash, error) { return h.Digest(), nil }}
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
	// The structure goes first, so that the section is known before its bytes come.
	return &contentSum{io.MultiWriter(v, s), func() (nixhash.Hash, error) {
		if root.Type != nar.TypeRegular {
			return nixhash.Hash{}, fmt.Errorf("%s: %w: content address %s is of a file, the archive holds a %s", info.Path, ErrMismatch, info.CA, root.Type)
		}
		return h.Digest(), nil
	}}
}

// section passes on the bytes between two offsets of what is written to it.
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

// newModuloSum hashes an archive as if its references to itself were zero
// bytes, and then their offsets, each behind a bar: the "hash modulo" by which
// Nix names objects that mention their own path.
func newModuloSum(info *narinfo.PathInfo) *contentSum {
	h := nixhash.New(info.CA.Hash.Algorithm())
	m := &modulo{w: h, info: info, self: []byte(info.Path.HashPart())}
	return &contentSum{m, func() (nixhash.Hash, error) {
		m.flush()
		for _, off := range m.found {
			h.Write(strconv.AppendInt([]byte{'|'}, off, 10))
		}
		return h.Digest(), nil
	}}
}

// maxSelfReferences bounds the offsets that are remembered, 8 bytes each.
const maxSelfReferences = 1 << 20

// modulo replaces every occurrence of self by zero bytes.
type modulo struct {
	w     io.Writer // a hash, which never fails
	info  *narinfo.PathInfo
	self  []byte
	tail  []byte // what may be the begin of an occurrence
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
			return 0, fmt.Errorf("%s: mentions itself more than %d times, which is more than its content address is checked for", m.info.Path, maxSelfReferences)
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
