package narinfo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// PathInfo is the description of a store object that does not depend on where
// the object is stored: in a binary cache, as part of a [NarInfo], or in a local
// store.
type PathInfo struct {
	StoreDir   storepath.Dir
	Path       storepath.Path
	NarHash    nixhash.Hash             // of the uncompressed NAR, SHA-256
	NarSize    int64                    // of the uncompressed NAR, in bytes
	References []storepath.Path         // a set: objects that the contents mention, possibly Path itself
	Deriver    storepath.Path           // derivation that built it, zero if unknown
	Signatures []Signature              // a set
	CA         storepath.ContentAddress // zero if the path is not computed from the contents
}

// Fingerprint returns the text that is signed:
//
//	1;<full path>;<NarHash with nix32>;<NarSize>;<full references, sorted, with commas>
//
// It fails if a part is missing or is not what Nix would sign.
func (p *PathInfo) Fingerprint() (string, error) {
	var buf fingerprintBuffer
	fingerprint, err := p.AppendFingerprint(buf[:0])
	if err != nil {
		return "", err
	}
	return string(fingerprint), nil
}

// fingerprintBuffer has room for some fifteen references, more than most have.
type fingerprintBuffer [1024]byte

// AppendFingerprint appends what [PathInfo.Fingerprint] returns to dst.
func (p *PathInfo) AppendFingerprint(dst []byte) ([]byte, error) {
	if err := p.checkSigned(); err != nil {
		return dst, err
	}
	refs, err := p.signedReferences()
	if err != nil {
		return dst, err
	}
	full := len(p.StoreDir) + 1
	size := len("1;;sha256:;9223372036854775807;") + full + len(p.Path.String()) + 52
	for _, ref := range refs {
		size += full + len(ref.String()) + 1
	}
	dst = slices.Grow(dst, size)

	dst = append(dst, "1;"...)
	dst = p.StoreDir.AppendJoin(dst, p.Path)
	dst = append(dst, ';')
	dst = p.NarHash.AppendString(dst)
	dst = append(dst, ';')
	dst = strconv.AppendInt(dst, p.NarSize, 10)
	dst = append(dst, ';')
	for _, ref := range refs {
		dst = append(p.StoreDir.AppendJoin(dst, ref), ',')
	}
	return dst[:len(dst)-min(len(refs), 1)], nil
}

// checkSigned returns an error if a field that signatures cover is missing or
// wrong. It does not check the references; see signedReferences.
func (p *PathInfo) checkSigned() error {
	if p.Path.IsZero() {
		return errors.New("store object has no path")
	}
	if err := p.checkSignedFields(); err != nil {
		return fmt.Errorf("store object %s: %w", p.Path, err)
	}
	return nil
}

func (p *PathInfo) checkSignedFields() error {
	if p.StoreDir != storepath.Default {
		if err := p.StoreDir.Validate(); err != nil {
			return err
		}
	}
	if a := p.NarHash.Algorithm(); a != nixhash.SHA256 {
		if p.NarHash.IsZero() {
			return errors.New("NarHash is missing")
		}
		return fmt.Errorf("NarHash is of %v, expected sha256", a)
	}
	if p.NarSize <= 0 {
		return fmt.Errorf("NarSize is %d, expected a positive number", p.NarSize)
	}
	return nil
}

// signedReferences returns the references as the set that Nix writes and signs.
func (p *PathInfo) signedReferences() ([]storepath.Path, error) {
	refs := p.sortedReferences()
	if len(refs) > 0 && refs[0].IsZero() {
		return nil, fmt.Errorf("store object %s: a reference is the zero path", p.Path)
	}
	return refs, nil
}

// sortedReferences returns the references sorted, without repetitions, the zero
// path first.
func (p *PathInfo) sortedReferences() []storepath.Path {
	if firstDisorder(p.References) < 0 {
		return p.References
	}
	refs := slices.Clone(p.References)
	slices.SortFunc(refs, storepath.Path.Compare)
	return slices.Compact(refs)
}

// firstDisorder returns the index of the first path that is not greater than the
// one before it, or -1.
func firstDisorder(paths []storepath.Path) int {
	for i := 1; i < len(paths); i++ {
		if paths[i-1].Compare(paths[i]) >= 0 {
			return i
		}
	}
	return -1
}

// Sign adds a signature by each of the signers, unless p has it already. If a
// signer has a method Public (see [Signer]), Sign fails for a signature that does
// not verify by that key, and asks for none where p has one that does. On an
// error, p is unchanged.
func (p *PathInfo) Sign(ctx context.Context, signers ...Signer) error {
	fingerprint, err := p.AppendFingerprint(nil)
	if err != nil {
		return err
	}
	sigs, err := sign(ctx, fingerprint, p.Signatures, signers)
	if err != nil {
		return fmt.Errorf("store object %s: %w", p.Path, err)
	}
	p.Signatures = sigs
	return nil
}

// sign returns sigs with the signatures of the message by the signers.
func sign(ctx context.Context, message []byte, sigs []Signature, signers []Signer) ([]Signature, error) {
	before := sigs
	sigs = slices.Clone(sigs)
	for _, signer := range signers {
		if signer == nil {
			return nil, errors.New("a signer is nil")
		}
		name := signer.KeyName()
		if hasSigned(signer, message, before) {
			continue
		}
		sig, err := signer.Sign(ctx, message)
		if err != nil {
			return nil, fmt.Errorf("signer %q: %w", clip(name), err)
		}
		if sig.KeyName != name {
			return nil, fmt.Errorf("signer %q returned a signature by %q", clip(name), clip(sig.KeyName))
		}
		if err := sig.checkKeyName(); err != nil {
			return nil, err
		}
		if err := checkSigner(signer, message, sig); err != nil {
			return nil, err
		}
		sigs = addSignature(sigs, sig)
	}
	return sigs, nil
}

// hasSigned reports whether sigs has a signature of the message that verifies by
// the public key of the signer.
func hasSigned(signer Signer, message []byte, sigs []Signature) bool {
	s, ok := signer.(interface{ Public() PublicKey })
	return ok && slices.ContainsFunc(sigs, func(sig Signature) bool {
		return s.Public().Verify(message, sig)
	})
}

// checkSigner fails if the signer knows its public key and that key does not
// verify the signature, as when a service has another key under the name.
// ParseSecretKey has checked a SecretKey already.
func checkSigner(signer Signer, message []byte, sig Signature) error {
	if _, ok := signer.(SecretKey); ok {
		return nil
	}
	if s, ok := signer.(interface{ Public() PublicKey }); ok && !s.Public().Verify(message, sig) {
		return fmt.Errorf("signer %q: the signature does not verify by the public key %v", clip(sig.KeyName), s.Public())
	}
	return nil
}

// VerifyContentAddress returns nil if the path recomputes from CA, name and
// references. For a tree that is hashed with SHA-256 and does not mention its own
// path, it also requires that the hash in CA is NarHash. Any other content
// address has to be compared with the contents, which this method does not read.
func (p *PathInfo) VerifyContentAddress() error {
	if p.CA.IsZero() {
		return fmt.Errorf("store object %s has no content address", p.Path)
	}
	refs := storepath.References{Others: p.References}
	if i := slices.Index(p.References, p.Path); i >= 0 {
		refs.Self = true
		refs.Others = slices.DeleteFunc(slices.Clone(p.References), func(ref storepath.Path) bool { return ref == p.Path })
	}
	path, err := p.StoreDir.FromContentAddress(p.Path.Name(), p.CA, refs)
	if err != nil {
		return fmt.Errorf("content address %v of %s: %w", p.CA, p.Path, err)
	}
	if path != p.Path {
		return fmt.Errorf("content address %v makes %s, not %s", p.CA, path, p.Path)
	}
	if p.CA.Method == storepath.MethodNAR && p.CA.Hash.Algorithm() == p.NarHash.Algorithm() && !refs.Self && p.CA.Hash != p.NarHash {
		return fmt.Errorf("content address %v of %s is not its NarHash %v", p.CA, p.Path, p.NarHash)
	}
	return nil
}

// Validate returns all inconsistencies of p, joined: the first field that is
// missing or out of its bounds, references that are unsorted or repeated,
// signatures that are repeated or have a wrong key name, and a content address
// from which the path does not recompute. It does not verify signatures.
func (p *PathInfo) Validate() error {
	var problems []error
	add := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	add(p.checkSigned())
	_, err := p.signedReferences()
	add(err)
	if i := firstDisorder(p.References); i >= 0 {
		add(fmt.Errorf("references are not sorted, or repeat: %v", p.References[i]))
	}
	seen := make(map[Signature]bool, len(p.Signatures))
	for _, sig := range p.Signatures {
		add(sig.checkKeyName())
		if seen[sig] {
			add(fmt.Errorf("signature by %q is repeated", clip(sig.KeyName)))
		}
		seen[sig] = true
	}
	if !p.CA.IsZero() && !p.Path.IsZero() {
		add(p.VerifyContentAddress())
	}
	return errors.Join(problems...)
}

// Equal reports whether p and q have the same contents. References and
// signatures are sets: Equal ignores order and repetition.
func (p *PathInfo) Equal(q *PathInfo) bool {
	return p.StoreDir == q.StoreDir &&
		p.Path == q.Path &&
		p.NarHash == q.NarHash &&
		p.NarSize == q.NarSize &&
		p.Deriver == q.Deriver &&
		p.CA == q.CA &&
		equalSets(p.References, q.References, storepath.Path.Compare) &&
		equalSets(p.Signatures, q.Signatures, compareBytes)
}

func equalSets[T comparable](a, b []T, compare func(T, T) int) bool {
	if slices.Equal(a, b) {
		return true
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, compare)
	slices.SortFunc(b, compare)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// Clone returns a deep copy of p.
func (p *PathInfo) Clone() *PathInfo {
	q := p.clone()
	return &q
}

func (p *PathInfo) clone() PathInfo {
	q := *p
	q.References = slices.Clone(p.References)
	q.Signatures = slices.Clone(p.Signatures)
	return q
}
