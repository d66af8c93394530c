package verify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
)

// SignOptions say how Sign changes signatures.
type SignOptions struct {
	// All signs every path of the cache.
	All bool

	// Signers each add a signature, unless the path has one that verifies by
	// the signer's public key already.
	Signers []narinfo.Signer

	// RemoveKeys are names of keys whose signatures are dropped, except those
	// that verify by the public key of one of the Signers.
	RemoveKeys []string

	// IfSignedBy, when there are any, must have signed a path before anything
	// about its signatures is changed, so that signing vouches for nothing
	// unseen. A content address alone does not suffice, since it does not cover
	// everything that a signature does.
	IfSignedBy narinfo.TrustedKeys

	// DryRun changes nothing: the report has what would be done.
	DryRun bool

	// Progress is called after every path, from one goroutine at a time.
	Progress func(done int)
}

// signBatch is how many paths are signed before any of them is published.
const signBatch = 4096

// Sign adds signatures to the narinfos of paths that are in the cache, and
// drops those of retired keys. It takes a GET and a PUT for each path, as many
// at a time as the cache's budget allows, and a handful of requests for each
// 4,096 paths.
//
// No signature of another writer that uses Sign is lost, whether the bucket
// supports conditional writes, ignores them or refuses them: each announces
// what it signs below the control prefix before it changes a narinfo, and looks
// for what the others have announced after it. The signatures of other
// programs, such as "nix store sign", are safe where the bucket supports
// IfMatch.
//
// A path that Sign cannot read or change is a failure in the report, and the
// rest goes on. A signer that fails, or whose signature does not verify by its
// own public key, ends the call before anything of the batch is published.
func Sign(ctx context.Context, cache *store.Cache, paths []storepath.Path, opts SignOptions) (*Report, error) {
	start := time.Now()
	s := newSigning(cache, opts)
	err := s.run(ctx, paths)
	s.report.Elapsed = time.Since(start)
	slices.Sort(s.report.Keys)
	s.report.Keys = slices.Compact(s.report.Keys)
	if err == nil {
		err = s.report.failure("signed")
	}
	return s.report, err
}

type signing struct {
	cache   *store.Cache
	opts    SignOptions
	workers int

	mu     sync.Mutex
	report *Report
}

// signTarget is a path that is to be signed.
type signTarget struct {
	hashPart string
	path     storepath.Path   // zero where only the hash part is known
	signers  []narinfo.Signer // of this path only, see store.SignaturesOf
}

// signed is a narinfo with its new signatures.
type signed struct {
	store.StoredNarInfo
	target signTarget
	added  []narinfo.Signature
}

func newSigning(cache *store.Cache, opts SignOptions) *signing {
	return &signing{cache: cache, opts: opts, report: &Report{}, workers: cache.Settings().Budget.Requests}
}

func (s *signing) run(ctx context.Context, paths []storepath.Path) error {
	if len(s.opts.Signers)+len(s.opts.RemoveKeys) == 0 {
		return errors.New("signing: there is neither a key to sign with nor one whose signatures are dropped")
	}
	return s.inBatches(ctx, func(yield func(signTarget, error) bool) {
		if s.opts.All {
			for hashPart, err := range s.cache.HashParts(ctx) {
				if !yield(signTarget{hashPart: hashPart}, err) {
					return
				}
			}
		}
		for _, p := range paths {
			if !yield(signTarget{hashPart: p.HashPart(), path: p}, nil) {
				return
			}
		}
	})
}

// inBatches signs paths, many at a time.
func (s *signing) inBatches(ctx context.Context, targets iter.Seq2[signTarget, error]) error {
	var batch []signTarget
	for t, err := range targets {
		if err != nil {
			return err
		}
		if batch = append(batch, t); len(batch) == signBatch {
			if err := s.batch(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return s.batch(ctx, batch)
}

// batch signs paths, and then publishes all of them.
func (s *signing) batch(ctx context.Context, batch []signTarget) error {
	if len(batch) == 0 {
		return nil
	}
	todo := make([]*signed, len(batch))
	if err := s.parallel(ctx, len(batch), func(ctx context.Context, i int) (err error) {
		todo[i], err = s.prepare(ctx, batch[i])
		return err
	}); err != nil {
		return err
	}
	todo = slices.DeleteFunc(todo, func(one *signed) bool { return one == nil })
	if s.opts.DryRun || len(todo) == 0 {
		return nil
	}
	ours, err := announce(ctx, s.cache.Bucket(), todo, s.opts.RemoveKeys)
	if err != nil {
		return err
	}
	// Writers that go through the same paths in the same order meet at each.
	rand.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	if err := s.parallel(ctx, len(todo), func(ctx context.Context, i int) error {
		return s.publish(ctx, ours, todo[i])
	}); err != nil {
		return err
	}
	return s.reconcile(ctx, ours, todo)
}

// parallel calls f for the numbers below n. The first error ends it.
func (s *signing) parallel(ctx context.Context, n int, f func(context.Context, int) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(s.workers)
	for i := range n {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(gctx, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// prepare reads a narinfo and signs it. It returns nil where nothing is to be
// changed.
func (s *signing) prepare(ctx context.Context, t signTarget) (*signed, error) {
	one := &signed{target: t}
	changed, err := s.refresh(ctx, nil, t, one)
	s.note(func(r *Report) {
		r.Paths++
		if s.opts.Progress != nil {
			s.opts.Progress(r.Paths)
		}
	})
	switch {
	case err != nil:
		return nil, s.failed(ctx, t, err)
	case !changed:
		s.note(func(r *Report) { r.Unchanged++ })
		return nil, nil
	}
	s.note(func(r *Report) { r.Changed++ })
	one.target.path = one.Path
	return one, nil
}

// failed notes why the signatures of a path cannot be changed. It returns the
// error where that ends the call.
func (s *signing) failed(ctx context.Context, t signTarget, err error) error {
	var broken *signerError
	var unvouched *unvouchedError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &broken):
		return err
	case errors.As(err, &unvouched):
		s.note(func(r *Report) { s.problem(&r.Skipped, t, err) })
	default:
		s.note(func(r *Report) { s.problem(&r.Failed, t, err) })
	}
	return nil
}

// unvouchedError is a path that none of the keys that must have signed it has.
type unvouchedError struct{ error }

func (e *unvouchedError) Unwrap() error { return e.error }

// signerError is a signer that failed, which concerns all paths.
type signerError struct{ error }

func (e *signerError) Unwrap() error { return e.error }

// refresh reads a narinfo anew and puts the signatures right. It reports
// whether that changes it, and fails with an unvouchedError where none of the keys
// that must have signed it has.
func (s *signing) refresh(ctx context.Context, ours *announcement, t signTarget, one *signed) (changed bool, err error) {
	if one.StoredNarInfo, err = s.cache.ReadNarInfo(ctx, t.hashPart); err != nil {
		return false, err
	}
	return s.renew(ctx, ours, t, one)
}

// renew puts the signatures of a narinfo right, as refresh does.
func (s *signing) renew(ctx context.Context, ours *announcement, t signTarget, one *signed) (changed bool, err error) {
	if !t.path.IsZero() && one.Path != t.path {
		return false, fmt.Errorf("the cache has %s under its hash part", one.Path)
	}
	if keys := s.opts.IfSignedBy; len(keys) > 0 {
		bare := one.PathInfo
		bare.CA = storepath.ContentAddress{}
		if err := keys.Verify(&bare); err != nil {
			return false, &unvouchedError{err}
		}
	}
	before := slices.Clone(one.Signatures)
	if err := s.sign(ctx, t, one); err != nil {
		return false, err
	}
	ours.merge(one)
	return !sameSignatures(before, one.Signatures), nil
}

// sign adds what the signers sign, and drops the signatures of retired keys.
func (s *signing) sign(ctx context.Context, t signTarget, one *signed) error {
	fingerprint, err := one.Fingerprint()
	if err != nil {
		return err
	}
	before := slices.Clone(one.Signatures)
	switch err := one.Sign(ctx, slices.Concat(s.opts.Signers, t.signers)...); {
	case errors.Is(err, store.ErrMismatch): // of what was signed elsewhere
		return &unvouchedError{err}
	case err != nil:
		return &signerError{err}
	}
	one.added = slices.DeleteFunc(slices.Clone(one.Signatures), func(sig narinfo.Signature) bool { return slices.Contains(before, sig) })
	var keep narinfo.TrustedKeys
	for _, signer := range s.opts.Signers {
		if known, ok := signer.(interface{ Public() narinfo.PublicKey }); ok {
			keep = append(keep, known.Public())
		}
	}
	one.drop(s.opts.RemoveKeys, func(sig narinfo.Signature) bool {
		_, good := signedBy(keep, fingerprint, sig)
		return good || slices.Contains(one.added, sig)
	})
	return nil
}

// drop removes the signatures by the named keys, except those to keep.
func (one *signed) drop(names []string, keep func(narinfo.Signature) bool) {
	one.Signatures = slices.DeleteFunc(one.Signatures, func(sig narinfo.Signature) bool {
		return slices.Contains(names, sig.KeyName) && !keep(sig)
	})
}

func sameSignatures(a, b []narinfo.Signature) bool {
	all := func(a, b []narinfo.Signature) bool {
		return !slices.ContainsFunc(a, func(sig narinfo.Signature) bool { return !slices.Contains(b, sig) })
	}
	return all(a, b) && all(b, a)
}

// publish stores a signed narinfo. Where another writer was there first, it
// signs what that has written.
func (s *signing) publish(ctx context.Context, ours *announcement, one *signed) error {
	t := one.target
	if !ours.conditional {
		one.Attrs.ETag = ""
	}
	prepared, changed := one.NarInfo, false
	err := s.cache.EditNarInfo(ctx, one.StoredNarInfo, func(ctx context.Context, stored store.StoredNarInfo) (bool, error) {
		changed = true
		if stored.NarInfo == prepared {
			return true, nil
		}
		var err error
		one.StoredNarInfo = stored
		changed, err = s.renew(ctx, ours, t, one)
		return changed, err
	})
	switch {
	case err != nil:
		s.note(func(r *Report) { r.Changed-- })
		return s.failed(ctx, t, err)
	case changed:
		s.note(func(r *Report) { r.Keys = append(r.Keys, layout.NarInfoKey(t.hashPart)) })
	}
	return nil
}

// reconcile looks for what other writers have announced, and puts right what
// they or this one have overwritten. When nothing was to be put right, every
// signature is there, since the last writer of each narinfo does the same.
func (s *signing) reconcile(ctx context.Context, ours *announcement, todo []*signed) error {
	for {
		if err := ours.lookAround(ctx); err != nil {
			return err
		}
		shared := slices.DeleteFunc(slices.Clone(todo), func(one *signed) bool { return !ours.shares(one.Path.HashPart()) })
		var wrote bool
		err := s.parallel(ctx, len(shared), func(ctx context.Context, i int) error {
			one := shared[i]
			changed, err := s.refresh(ctx, ours, one.target, one)
			if err != nil {
				return s.failed(ctx, one.target, err)
			}
			if !changed {
				return nil
			}
			s.note(func(*Report) { wrote = true })
			return s.publish(ctx, ours, one)
		})
		if err != nil {
			return err
		}
		if !wrote {
			return ours.withdraw(ctx)
		}
	}
}

func (s *signing) note(f func(*Report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.report)
}

func (s *signing) problem(list *[]Problem, t signTarget, err error) {
	*list = append(*list, Problem{Path: t.path, Key: layout.NarInfoKey(t.hashPart), Err: err})
}
