package store

import (
	"context"
	"errors"
	"slices"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/graph"
	"example.com/nixs3/store/layout"
)

// Delete makes paths invisible, referrers before their references, so that an
// interruption leaves no path without its references. It reads every narinfo of
// the cache to find the referrers of the paths, and fails with ErrReferenced if
// there are others than the paths themselves. It may miss a path that is
// published meanwhile; package gc collects while others write. Delete ignores
// paths that the cache does not have.
func (c *Cache) Delete(ctx context.Context, paths ...storepath.Path) error {
	if len(paths) == 0 {
		return nil
	}
	goes := make(map[storepath.Path]described, len(paths))
	for _, p := range paths {
		goes[p] = described{&narinfo.PathInfo{Path: p}}
	}
	users := map[storepath.Path][]storepath.Path{}
	for info, err := range c.NarInfos(ctx) {
		if errors.Is(err, ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		if _, ok := goes[info.Path]; ok {
			goes[info.Path] = described{&info.PathInfo}
			continue
		}
		for _, ref := range info.References {
			if _, ok := goes[ref]; ok {
				users[ref] = append(users[ref], info.Path)
			}
		}
	}
	for _, p := range paths {
		if len(users[p]) > 0 {
			slices.SortFunc(users[p], storepath.Path.Compare)
			return &ReferencedError{StoreDir: c.settings.StoreDir, Path: p, Users: slices.Compact(users[p])}
		}
	}
	for _, wave := range graph.Waves(goes) {
		if err := c.hide(ctx, wave); err != nil {
			return err
		}
	}
	return nil
}

// described is a graph.Node.
type described struct{ info *narinfo.PathInfo }

func (d described) Info() *narinfo.PathInfo { return d.info }

// hide deletes narinfos, and then the listings: after an interruption these are
// unreferenced.
func (c *Cache) hide(ctx context.Context, paths []storepath.Path) error {
	for _, key := range []func(string) string{layout.NarInfoKey, layout.ListingKey} {
		keys := make([]string, len(paths))
		for i, p := range paths {
			c.infos.forget(p.HashPart())
			keys[i] = key(p.HashPart())
		}
		if err := c.bucket.Delete(ctx, keys...); err != nil {
			return err
		}
	}
	return nil
}
