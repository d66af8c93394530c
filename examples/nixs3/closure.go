package main

import (
	"context"
	"slices"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// closure returns the closure of the roots by path.
func closure(ctx context.Context, from *opened, roots ...storepath.Path) (map[storepath.Path]*narinfo.NarInfo, error) {
	found := map[storepath.Path]*narinfo.NarInfo{}
	todo := slices.Clone(roots)
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if found[p] != nil {
			continue
		}
		info, err := from.narInfo(ctx, p)
		if err != nil {
			return nil, err
		}
		found[p] = info
		todo = append(todo, info.References...)
	}
	return found, nil
}

// closureSize is the sum of the NAR sizes of a path's closure.
func closureSize(ctx context.Context, from *opened, p storepath.Path) (int64, error) {
	paths, err := closure(ctx, from, p)
	return sumNARs(paths), err
}
