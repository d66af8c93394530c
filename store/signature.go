package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
)

// StoredNarInfo is a narinfo with the version of its object.
type StoredNarInfo struct {
	*narinfo.NarInfo
	Attrs blob.Attrs // of the object
}

// ReadNarInfo reads the narinfo with a hash part from the bucket, even if it is
// remembered, for [Cache.ReplaceNarInfo].
func (c *Cache) ReadNarInfo(ctx context.Context, hashPart string) (StoredNarInfo, error) {
	info, attrs, err := c.readNarInfo(ctx, hashPart)
	return StoredNarInfo{info, attrs}, c.deniedIsMissing(ctx, hashPart, err)
}

// ReplaceNarInfo stores a narinfo in place of the version that was read. If
// another writer has changed it since, ReplaceNarInfo fails with
// blob.ErrPrecondition and changes nothing, provided that the bucket honours
// IfMatch; some servers ignore it. An empty Attrs.ETag replaces any version.
func (c *Cache) ReplaceNarInfo(ctx context.Context, info StoredNarInfo) error {
	return c.putNarInfo(ctx, info.NarInfo, blob.PutOptions{IfMatch: info.Attrs.ETag})
}

// idleRefusals bounds how often in a row EditNarInfo is refused although no other
// writer has changed the narinfo.
const idleRefusals = 8

// EditNarInfo changes a narinfo that [Cache.ReadNarInfo] has read, and stores it
// with [Cache.ReplaceNarInfo]. edit changes it and reports whether it did; if
// not, nothing is stored. After another writer's change EditNarInfo reads the
// narinfo again and calls edit again. Each such change is the success of another
// writer, so that this ends.
func (c *Cache) EditNarInfo(ctx context.Context, stored StoredNarInfo, edit func(context.Context, StoredNarInfo) (changed bool, err error)) error {
	for idle := 0; ; {
		if changed, err := edit(ctx, stored); err != nil || !changed {
			return err
		}
		refused := c.ReplaceNarInfo(ctx, stored)
		if !errors.Is(refused, blob.ErrPrecondition) {
			return refused
		}
		again, err := c.ReadNarInfo(ctx, stored.Path.HashPart())
		if err != nil {
			return err
		}
		if again.Attrs.ETag != stored.Attrs.ETag {
			idle = 0
		} else if idle++; idle == idleRefusals {
			return refused
		}
		stored = again
	}
}

// AddSignatures adds the signers' signatures to those that a path has. Concurrent
// callers lose no signature where the bucket honours IfMatch.
func (c *Cache) AddSignatures(ctx context.Context, p storepath.Path, signers ...narinfo.Signer) (*narinfo.NarInfo, error) {
	stored, err := c.ReadNarInfo(ctx, p.HashPart())
	if err != nil {
		return nil, err
	}
	var info *narinfo.NarInfo
	err = c.EditNarInfo(ctx, stored, func(ctx context.Context, stored StoredNarInfo) (bool, error) {
		info = stored.NarInfo
		if info.Path != p {
			return false, c.otherPath(p, info)
		}
		before := len(info.Signatures)
		err := info.Sign(ctx, signers...)
		return len(info.Signatures) > before, err
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// SignaturesOf returns signers that repeat the signatures of a path. They fail
// with ErrMismatch for any other description of the path: a signature vouches for
// one only. So [Cache.AddSignatures] can add signatures that were made elsewhere.
func SignaturesOf(info *narinfo.PathInfo) ([]narinfo.Signer, error) {
	fingerprint, err := info.Fingerprint()
	if err != nil {
		return nil, err
	}
	signers := make([]narinfo.Signer, len(info.Signatures))
	for i, sig := range info.Signatures {
		signers[i] = madeElsewhere{sig, fingerprint}
	}
	return signers, nil
}

type madeElsewhere struct {
	sig         narinfo.Signature
	fingerprint string
}

func (m madeElsewhere) KeyName() string { return m.sig.KeyName }

func (m madeElsewhere) Sign(_ context.Context, fingerprint []byte) (narinfo.Signature, error) {
	if string(fingerprint) != m.fingerprint {
		return narinfo.Signature{}, different(m.fingerprint, string(fingerprint))
	}
	return m.sig, nil
}

// different names the first part in which two fingerprints differ.
func different(expected, got string) error {
	of, with := strings.Split(expected, ";"), strings.Split(got, ";")
	for i, name := range []string{"version", "path", "NarHash", "NarSize", "references"} {
		if i < len(of) && i < len(with) && of[i] != with[i] {
			return fmt.Errorf("%w: expected the signed %s %q, got %q", ErrMismatch, name, of[i], with[i])
		}
	}
	return fmt.Errorf("%w: expected the fingerprint %q of the source, got %q", ErrMismatch, expected, got)
}
