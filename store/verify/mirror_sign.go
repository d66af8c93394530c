package verify

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
)

// mayHaveSignatures reports whether the narinfo of a source can have signatures
// that the narinfo of its mirror lacks. A mirror's narinfo that was written later
// is passed over unless it is smaller, so that one with signatures of the
// mirror's own is not read in every run.
func (p *listedPath) mayHaveSignatures(at *listedPath) bool {
	if p.digest != 0 && p.digest == at.digest {
		return false
	}
	return p.written >= at.written || p.narInfo > at.narInfo
}

// addSignatures adds the signatures that paths of src have to the paths of dst
// that are described in the same way.
func (m *mirror) addSignatures(ctx context.Context, infos iter.Seq2[*narinfo.PathInfo, error]) error {
	s := newSigning(m.dst, SignOptions{DryRun: m.opts.DryRun})
	err := s.inBatches(ctx, func(yield func(signTarget, error) bool) {
		for info, err := range infos {
			if err != nil {
				yield(signTarget{}, err)
				return
			}
			t := signTarget{hashPart: info.Path.HashPart(), path: info.Path}
			if t.signers, err = m.signatures(info); err != nil {
				m.fail(Problem{Path: info.Path, Key: layout.NarInfoKey(t.hashPart), Err: err})
				continue
			}
			if len(t.signers) > 0 && !yield(t, nil) {
				return
			}
		}
	})
	m.report.Changed += s.report.Changed
	m.report.Signed += s.report.Changed
	m.report.Unchanged -= s.report.Changed
	m.report.Skipped = append(m.report.Skipped, s.report.Skipped...)
	for _, p := range s.report.Failed {
		if !errors.Is(p.Err, store.ErrNotFound) { // it went since it was listed
			m.fail(p)
		}
	}
	m.wrote(s.report.Keys...)
	return err
}

// signatures returns the signatures of a path of src, which one of the trusted
// keys must have signed.
func (m *mirror) signatures(info *narinfo.PathInfo) ([]narinfo.Signer, error) {
	if len(info.Signatures) == 0 {
		return nil, nil
	}
	if len(m.opts.TrustedKeys) > 0 {
		if err := m.opts.TrustedKeys.Verify(info); err != nil {
			return nil, fmt.Errorf("signatures of %s: %w", m.src, err)
		}
	}
	return store.SignaturesOf(info)
}
