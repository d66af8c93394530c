package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/internal/naming"
	"example.com/nixs3/store/layout"
)

// RealisationSource is a Source that can list its realisations. Copy takes along
// those whose output is among the paths of the copy.
type RealisationSource interface {
	// Realisations yields every realisation, in no particular order. It fails
	// with errors.ErrUnsupported where there is no listing.
	Realisations(ctx context.Context) iter.Seq2[*narinfo.Realisation, error]
}

// RealisationDestination is a Destination that stores realisations.
type RealisationDestination interface {
	Realisation(ctx context.Context, id narinfo.DrvOutput) (*narinfo.Realisation, error)
	PutRealisation(ctx context.Context, r *narinfo.Realisation) error
}

// LogSource is a Source that has build logs.
type LogSource interface {
	// Log opens the log of a derivation, or fails with ErrNotFound.
	Log(ctx context.Context, drv storepath.Path) (io.ReadCloser, error)
}

// LogDestination is a Destination that stores build logs.
type LogDestination interface {
	HasLog(ctx context.Context, drv storepath.Path) (bool, error)
	PutLog(ctx context.Context, drv storepath.Path, log io.Reader) error
}

// signing is a Destination whose paths can get further signatures.
type signing interface {
	AddSignatures(ctx context.Context, p storepath.Path, signers ...narinfo.Signer) (*narinfo.NarInfo, error)
}

// companionWorkers is the number of companions that are copied at a time. The
// budgets of the stores may allow fewer.
const companionWorkers = 16

// companions copies the objects that belong to paths, after the paths are
// visible: an object that points to a path must not precede it.
func (c *copier) companions(ctx context.Context, g closure) error {
	for _, step := range []func(context.Context, closure) error{c.signPresent, c.realisations, c.logs} {
		if err := step(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// there reports whether the copy has seen a path at the destination.
func (n *node) there() bool { return n.err == nil && (n.present || n.published) }

// signPresent adds signatures to the paths that were at the destination before.
func (c *copier) signPresent(ctx context.Context, g closure) error {
	dst, ok := c.dst.(signing)
	if !ok || len(c.opts.Signers) == 0 {
		return nil
	}
	signed := flow.Map(ctx, companionWorkers, flow.Values(presentNodes(g)), func(ctx context.Context, n *node) (bool, error) {
		if err := c.signOne(ctx, dst, n.info); err != nil {
			return false, naming.Error(fmt.Sprintf("signing %s in %s", n.info.Path, c.dst), n.info.Path.HashPart(), err)
		}
		return true, nil
	})
	for ok, err := range signed {
		switch {
		case err != nil && !c.opts.KeepGoing:
			return err
		case err != nil:
			c.report.Failed = append(c.report.Failed, &CopyError{Err: err})
		case ok:
			c.report.Signed++
		}
	}
	return nil
}

// signOne signs the source's description of a path. The destination takes the
// signatures only if it describes the path in the same way.
func (c *copier) signOne(ctx context.Context, dst signing, info *narinfo.PathInfo) error {
	ours := *info
	ours.Signatures = nil
	if err := ours.Sign(ctx, c.opts.Signers...); err != nil {
		return err
	}
	made, err := SignaturesOf(&ours)
	if err != nil {
		return err
	}
	_, err = dst.AddSignatures(ctx, info.Path, made...)
	return err
}

func presentNodes(g closure) []*node {
	var nodes []*node
	for _, n := range g {
		if n.err == nil && n.present {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// realisations copies the realisations of content-addressed paths. A closure
// without such paths costs no request.
func (c *copier) realisations(ctx context.Context, g closure) error {
	src, ok := c.src.Source.(RealisationSource)
	dst, ok2 := c.dst.(RealisationDestination)
	addressed := c.src.compared != nil // some of what was not read may be
	for _, n := range g {
		addressed = addressed || n.err == nil && !n.info.CA.IsZero()
	}
	if !ok || !ok2 || !addressed {
		return nil
	}
	wanted := func(yield func(*narinfo.Realisation, error) bool) {
		for r, err := range src.Realisations(ctx) {
			if err == nil {
				n := g[r.OutPath]
				if n == nil && !c.src.compared.has(r.OutPath) || n != nil && !n.there() {
					continue
				}
			}
			if !yield(r, err) {
				return
			}
		}
	}
	copied := flow.Map(ctx, companionWorkers, wanted, func(ctx context.Context, r *narinfo.Realisation) (bool, error) {
		return c.copyRealisation(ctx, dst, r)
	})
	for ok, err := range copied {
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			c.report.Unlisted = true
		case errors.Is(err, ErrUntrusted):
			c.report.Untrusted++
		case err != nil && (!c.opts.KeepGoing || ctx.Err() != nil):
			return err
		case err != nil:
			c.report.Failed = append(c.report.Failed, &CopyError{Err: fmt.Errorf("realisations: %w", err)})
		case ok:
			c.report.Realisations++
		}
	}
	return nil
}

func (c *copier) copyRealisation(ctx context.Context, dst RealisationDestination, r *narinfo.Realisation) (bool, error) {
	if len(c.opts.TrustedKeys) > 0 {
		if err := c.opts.TrustedKeys.VerifyRealisation(r); err != nil {
			return false, fmt.Errorf("realisation %v of %s: %w", r.ID, c.src, err)
		}
	}
	if !c.opts.Repair {
		switch _, err := dst.Realisation(ctx, r.ID); {
		case err == nil:
			return false, nil
		case !isAbsent(err) && !errors.Is(err, ErrAccessDenied):
			return false, fmt.Errorf("realisation %v: %w", r.ID, err)
		}
	}
	signed := *r
	if err := signed.Sign(ctx, c.opts.Signers...); err != nil {
		return false, err
	}
	if err := dst.PutRealisation(ctx, &signed); err != nil {
		return false, fmt.Errorf("realisation %v: %w", r.ID, err)
	}
	return true, nil
}

// logs copies the build logs of the derivers.
func (c *copier) logs(ctx context.Context, g closure) error {
	src, ok := c.src.Source.(LogSource)
	dst, ok2 := c.dst.(LogDestination)
	if !c.opts.Logs || !ok || !ok2 {
		return nil
	}
	drvs := map[storepath.Path]bool{}
	for _, n := range g {
		if n.there() && !n.info.Deriver.IsZero() {
			drvs[n.info.Deriver] = true
		}
		if n.there() && n.info.Path.IsDerivation() {
			drvs[n.info.Path] = true
		}
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(companionWorkers)
	copied := make(chan struct{}, len(drvs))
	for drv := range drvs {
		group.Go(func() error {
			ok, err := copyLog(gctx, dst, src, drv)
			if ok {
				copied <- struct{}{}
			}
			return err
		})
	}
	err := group.Wait()
	c.report.Logs += len(copied)
	return err
}

func copyLog(ctx context.Context, dst LogDestination, src LogSource, drv storepath.Path) (bool, error) {
	if has, err := dst.HasLog(ctx, drv); has || err != nil {
		return false, err
	}
	log, err := src.Log(ctx, drv)
	if isAbsent(err) || errors.Is(err, ErrAccessDenied) {
		return false, nil // most derivers have none
	}
	if err != nil {
		return false, err
	}
	defer log.Close()
	if err := dst.PutLog(ctx, drv, log); err != nil {
		return false, fmt.Errorf("log of %s: %w", drv, err)
	}
	return true, nil
}

// Realisations yields every realisation of both generations, read in parallel.
func (c *Cache) Realisations(ctx context.Context) iter.Seq2[*narinfo.Realisation, error] {
	ids := func(yield func(narinfo.DrvOutput, error) bool) {
		for _, prefix := range layout.RealisationPrefixes() {
			for attrs, err := range c.bucket.List(ctx, blob.ListOptions{Prefix: prefix}) {
				if err != nil {
					yield(narinfo.DrvOutput{}, err)
					return
				}
				id, err := narinfo.ParseRealisationKey(attrs.Key)
				if err != nil {
					continue // Nix would not read it
				}
				if !yield(id, nil) {
					return
				}
			}
		}
	}
	return flow.Map(ctx, c.settings.Budget.Requests, ids, c.Realisation)
}

// HasLog reports whether the build log of a derivation is in the cache.
func (c *Cache) HasLog(ctx context.Context, drv storepath.Path) (bool, error) {
	if _, err := c.describe(ctx); err != nil {
		return false, err
	}
	_, err := c.bucket.Head(ctx, layout.LogKey(drv))
	if isAbsent(err) {
		return false, nil
	}
	return err == nil, err
}
