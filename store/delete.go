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

// Delete makes paths invisible, those first to which no other refers, so that an
// interruption leaves no path without its references. It reads every narinfo of
// the cache to find what refers to the paths, and fails with ErrReferenced where
// that is not among the paths themselves. A path that is published meanwhile
// may go unnoticed; package gc collects while others write. Paths that the cache
// does not have are ignored.
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
			continue // it went meanwhile
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
