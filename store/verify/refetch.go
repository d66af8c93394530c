package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/layout"
)

// offer is a path as a source has it.
type offer struct {
	source store.Source
	info   *narinfo.PathInfo
	file   *narinfo.NarInfo // nil where the source has no compressed archives
}

// refetch takes a path from the first source that has it and can be believed.
func (r *repair) refetch(ctx context.Context, c *casualty) error {
	old, err := r.plain.ReadNarInfo(ctx, c.hashPart)
	if err != nil {
		var server *blob.Error
		if errors.As(err, &server) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		old, c.doubt = store.StoredNarInfo{}, true
	} else if c.path.IsZero() {
		c.path = old.Path
	}
	var errs []error
	for _, source := range r.opts.From {
		o, err := lookup(ctx, source, c)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		var info *narinfo.PathInfo
		if err == nil {
			info, err = r.accept(c, old.NarInfo, o.info)
		}
		if err == nil && !r.opts.DryRun {
			err = r.fetch(ctx, c, old, o, info)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		errs = append(errs, fmt.Errorf("from %s: %w", source, err))
	}
	if len(errs) == 0 {
		return errNowhere
	}
	return errors.Join(errs...)
}

// lookup asks a source for a path, of which only the hash part may be known.
func lookup(ctx context.Context, source store.Source, c *casualty) (offer, error) {
	o := offer{source: source}
	var err error
	switch source := source.(type) {
	case store.BinaryCacheStore:
		if o.file, err = source.NarInfoByHash(ctx, c.hashPart); err == nil {
			o.info = &o.file.PathInfo
		}
	case interface {
		PathByHash(ctx context.Context, hashPart string) (storepath.Path, error)
	}:
		var p storepath.Path
		if p, err = source.PathByHash(ctx, c.hashPart); err == nil {
			o.info, err = o.source.PathInfo(ctx, p)
		}
	default:
		if c.path.IsZero() {
			return o, store.ErrNotFound
		}
		o.info, err = source.PathInfo(ctx, c.path)
	}
	switch {
	case err != nil:
		return o, err
	case o.info.Path.HashPart() != c.hashPart, !c.path.IsZero() && !c.doubt && o.info.Path != c.path:
		return o, store.ErrNotFound
	}
	return o, nil
}

// accept returns what is published of a path for which a source has an offer.
func (r *repair) accept(c *casualty, old *narinfo.NarInfo, theirs *narinfo.PathInfo) (*narinfo.PathInfo, error) {
	same := old != nil && theirs.Path == old.Path && theirs.NarHash == old.NarHash && theirs.NarSize == old.NarSize
	keys := r.opts.TrustedKeys
	switch {
	case !c.doubt && !same:
		return nil, fmt.Errorf("it has the NarHash %v there, expected %v", theirs.NarHash, old.NarHash)
	case !c.doubt:
		return &old.PathInfo, nil
	case len(keys) > 0:
		if err := keys.Verify(theirs); err != nil {
			return nil, err
		}
	case old != nil && !same:
		return nil, fmt.Errorf("it has the NarHash %v there and %v here, and no trusted key tells which is right", theirs.NarHash, old.NarHash)
	}
	info := theirs.Clone()
	if same {
		fingerprint, err := info.Fingerprint()
		if err != nil {
			return nil, err
		}
		for _, sig := range old.Signatures {
			if _, good := signedBy(keys, fingerprint, sig); good && !slices.Contains(info.Signatures, sig) {
				info.Signatures = append(info.Signatures, sig)
			}
		}
	}
	return info, nil
}

// fetch stores the archive that a source offers, and publishes the path.
func (r *repair) fetch(ctx context.Context, c *casualty, old store.StoredNarInfo, o offer, info *narinfo.PathInfo) error {
	archive, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer archive.Close()
	beside := r.rebuild[c.hashPart]
	beside.listing = beside.listing || c.listing || r.has(ctx, layout.ListingKey(c.hashPart))
	pending, err := r.caches[beside].Prepare(ctx, info, flow.CountReader(archive, &r.bytes), store.AddOptions{Repair: true, Encoded: o.file})
	if err != nil {
		return err
	}
	ours := pending.NarInfo()
	if old.NarInfo != nil && old.Path == ours.Path {
		// Others may have signed it meanwhile, and what they did not understand
		// may be in it.
		if !c.doubt {
			ours.Extra = old.Extra
		}
		if !ours.Equal(old.NarInfo) {
			err = r.plain.ReplaceNarInfo(ctx, store.StoredNarInfo{NarInfo: ours, Attrs: old.Attrs})
		}
	} else {
		err = pending.Publish(ctx)
	}
	if err != nil {
		return err
	}
	r.wrote(layout.NarInfoKey(c.hashPart), ours.URL)
	if beside.listing {
		r.wrote(layout.ListingKey(c.hashPart))
	}
	c.path = ours.Path
	return nil
}

func (r *repair) has(ctx context.Context, key string) bool {
	_, err := r.bucket.Head(ctx, key)
	return err == nil
}

func (o *offer) open(ctx context.Context) (io.ReadCloser, error) {
	if cache, ok := o.source.(store.BinaryCacheStore); ok {
		return cache.OpenCompressed(ctx, o.file)
	}
	return o.source.NAR(ctx, o.info.Path)
}
