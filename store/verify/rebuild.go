package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/layout"
)

// mendCacheInfo writes nix-cache-info anew, with what can still be read of it.
func (r *repair) mendCacheInfo(ctx context.Context) error {
	settings := r.plain.Settings()
	info := &narinfo.CacheInfo{}
	text, _, err := blob.ReadAll(ctx, r.bucket, layout.CacheInfoKey, layout.CacheInfo.Limit())
	if err == nil {
		if old, perr := narinfo.ParseCacheInfo(text); perr == nil {
			info.Priority, info.WantMassQuery = old.Priority, old.WantMassQuery
		}
	} else if !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	info.StoreDir = settings.StoreDir
	if settings.Priority != nil {
		info.Priority = settings.Priority
	}
	if settings.WantMassQuery != nil {
		info.WantMassQuery = settings.WantMassQuery
	}
	if text, err = info.MarshalText(); err != nil {
		return err
	}
	r.report.Paths++
	if !r.opts.DryRun {
		opts := blob.PutOptions{ContentType: layout.CacheInfo.ContentType()}
		if _, err := r.bucket.Put(ctx, layout.CacheInfoKey, bytes.NewReader(text), opts); err != nil {
			return err
		}
		r.wrote(layout.CacheInfoKey)
	}
	r.note(func(report *Report) { report.Changed++ })
	return nil
}

// rebuildAll makes listings and links to debug files anew.
func (r *repair) rebuildAll(ctx context.Context) error {
	var hashParts []string
	for hashPart := range r.rebuild {
		hashParts = append(hashParts, hashPart)
	}
	r.report.Paths += len(hashParts)
	return r.parallel(ctx, len(hashParts), func(ctx context.Context, i int) error {
		err := r.rebuildPath(ctx, hashParts[i])
		if err == nil {
			r.note(func(report *Report) { report.Changed++ })
		} else if ctx.Err() == nil {
			r.fail(&casualty{hashPart: hashParts[i]}, err)
		}
		return ctx.Err()
	})
}

func (r *repair) rebuildPath(ctx context.Context, hashPart string) error {
	beside := r.rebuild[hashPart]
	info, err := r.plain.NarInfoByHash(ctx, hashPart)
	if err != nil {
		return err
	}
	archive, err := r.plain.OpenNAR(ctx, info)
	if err != nil {
		return err
	}
	defer archive.Close()
	lister := nar.NewListingWriter()
	// Up to the end, where the archive is found to be what it should be.
	_, err = io.Copy(lister, flow.CountReader(archive, &r.bytes))
	if err == nil {
		err = lister.Close()
	}
	if err != nil {
		return err
	}
	tree := lister.Listing()
	if beside.listing && unlistable(tree) {
		beside.listing = false
		r.note(func(report *Report) {
			report.Skipped = append(report.Skipped, Problem{Path: info.Path, Key: layout.ListingKey(hashPart), Err: nar.ErrNotUTF8})
		})
	}
	if r.opts.DryRun {
		return nil
	}
	if err := r.caches[beside].PutSidecars(ctx, info, tree); err != nil {
		return err
	}
	if beside.listing {
		r.wrote(layout.ListingKey(hashPart))
	}
	for _, id := range store.DebugFiles(tree) {
		if beside.links {
			r.wrote(layout.DebugInfoKey(id))
		}
	}
	return nil
}

// mendIndexes makes the indexes of archives anew, and removes those of archives
// that have no independent pieces.
func (r *repair) mendIndexes(ctx context.Context) error {
	r.report.Paths += len(r.indexes)
	return r.parallel(ctx, len(r.indexes), func(ctx context.Context, i int) error {
		f := r.indexes[i]
		if !r.opts.DryRun {
			err := r.bucket.Delete(ctx, f.Key)
			if err == nil {
				err = r.plain.PutIndex(ctx, f.Path)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil && !errors.Is(err, codec.ErrNoIndex) {
				r.fail(&casualty{hashPart: f.Path.HashPart(), path: f.Path}, err)
				return nil
			}
			r.wrote(f.Key)
		}
		r.note(func(report *Report) { report.Changed++ })
		return nil
	})
}

// mendSmall takes logs and realisations from elsewhere.
func (r *repair) mendSmall(ctx context.Context) error {
	r.report.Paths += len(r.small)
	return r.parallel(ctx, len(r.small), func(ctx context.Context, i int) error {
		f := r.small[i]
		err := errNowhere
		for _, source := range r.opts.From {
			cache, ok := source.(store.BinaryCacheStore)
			if !ok {
				continue
			}
			if layout.KindOf(f.Key) == layout.Log {
				err = r.mendLog(ctx, cache, f.Key)
			} else {
				err = r.mendRealisation(ctx, cache, f.Key)
			}
			if err == nil {
				break
			}
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			r.note(func(report *Report) {
				report.Failed = append(report.Failed, Problem{Path: f.Path, Key: f.Key, Err: err})
			})
		default:
			r.wrote(f.Key)
			r.note(func(report *Report) { report.Changed++ })
		}
		return nil
	})
}

func (r *repair) mendLog(ctx context.Context, source store.BinaryCacheStore, key string) error {
	drv, err := storepath.ParseBase(strings.TrimPrefix(key, layout.LogPrefix))
	if err != nil {
		return err
	}
	log, err := source.Log(ctx, drv)
	if err != nil {
		return err
	}
	defer log.Close()
	if r.opts.DryRun {
		return nil
	}
	return r.plain.PutLog(ctx, drv, log)
}

func (r *repair) mendRealisation(ctx context.Context, source store.BinaryCacheStore, key string) error {
	id, err := narinfo.ParseRealisationKey(key)
	if err != nil {
		return err
	}
	theirs, err := source.Realisation(ctx, id)
	if err != nil {
		return err
	}
	if len(r.opts.TrustedKeys) > 0 && len(theirs.Signatures) > 0 {
		if err := r.opts.TrustedKeys.VerifyRealisation(theirs); err != nil {
			return err
		}
	}
	if has, err := r.plain.Has(ctx, theirs.OutPath); err != nil || !has {
		return errors.Join(err, fmt.Errorf("its path %s is not in the cache", theirs.OutPath))
	}
	if r.opts.DryRun {
		return nil
	}
	return r.plain.PutRealisation(ctx, theirs)
}

// removeAll removes what no reader needs.
func (r *repair) removeAll(ctx context.Context, failed []*casualty) error {
	lost := map[string]bool{}
	for _, c := range failed {
		lost[c.hashPart] = true
	}
	for _, f := range r.remove {
		if hashPart, ok := layout.ParseListingKey(f.Key); ok && !lost[hashPart] {
			continue // its path is back
		}
		if !r.opts.Remove {
			r.note(func(report *Report) {
				report.Skipped = append(report.Skipped, Problem{Path: f.Path, Key: f.Key, Err: errors.New("not removed, since that was not asked for")})
			})
			continue
		}
		if r.opts.DryRun {
			continue
		}
		var err error
		if f.Kind == UploadUnfinished {
			err = r.abort(ctx, f.Key)
		} else {
			err = r.bucket.Delete(ctx, f.Key)
		}
		if err != nil {
			return err
		}
		r.wrote(f.Key)
	}
	return nil
}

// abort ends the uploads of a key that were begun long ago.
func (r *repair) abort(ctx context.Context, key string) error {
	cleaner, ok := blob.As[blob.UploadCleaner](r.bucket)
	if !ok {
		return nil
	}
	for u, err := range cleaner.Uploads(ctx, key) {
		if err != nil {
			return err
		}
		if u.Key == key && isStale(u) {
			if err := cleaner.AbortUpload(ctx, u); err != nil {
				return err
			}
		}
	}
	return nil
}

// hide makes invisible what could not be mended.
func (r *repair) hide(ctx context.Context, failed []*casualty) error {
	var faulty []storepath.Path
	for _, c := range failed {
		faulty = append(faulty, c.users...)
		p := c.path
		if p.IsZero() { // only its hash part matters
			var err error
			if p, err = storepath.ParseBase(c.hashPart + "-unknown"); err != nil {
				return err
			}
		}
		faulty = append(faulty, p)
	}
	return r.report.hide(ctx, r.plain, faulty)
}
