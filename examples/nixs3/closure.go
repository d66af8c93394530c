package main

import (
	"context"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

// closure returns the closure of a path by path.
func closure(ctx context.Context, from *opened, root storepath.Path) (map[storepath.Path]*narinfo.PathInfo, error) {
	infos, err := store.Closure(ctx, from.Source, []storepath.Path{root})
	if err != nil {
		return nil, err
	}
	paths := make(map[storepath.Path]*narinfo.PathInfo, len(infos))
	for _, info := range infos {
		paths[info.Path] = info
	}
	return paths, nil
}

// closureSize is the sum of the NAR sizes of a path's closure.
func closureSize(ctx context.Context, from *opened, p storepath.Path) (int64, error) {
	paths, err := closure(ctx, from, p)
	return sumNARs(paths), err
}
