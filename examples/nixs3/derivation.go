package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

// outputs returns the outputs that PATH.drv^out, PATH.drv^out,dev or PATH.drv^*
// names. ok reports whether the argument has that form. The outputs need not be
// valid.
func (o *opened) outputs(ctx context.Context, arg string) (paths []storepath.Path, ok bool, err error) {
	drvArg, names, ok := strings.Cut(arg, "^")
	if !ok {
		return nil, false, nil
	}
	if o.local == nil {
		return nil, true, fmt.Errorf("%q: %w: expected the path of an output, since a cache does not list the outputs of derivations", arg, errNoOutputs)
	}
	drv, member, err := findPath(ctx, o.StoreDir(), o.byHash, drvArg)
	if err == nil && (member != "" || !drv.IsDerivation()) {
		err = errors.New("expected a derivation before the ^")
	}
	if err != nil {
		return nil, true, fmt.Errorf("%q: %w: %w", arg, errNoOutputs, err)
	}
	known, err := o.local.Outputs(ctx, drv)
	if err != nil {
		return nil, true, err
	}
	if len(known) == 0 {
		return nil, true, fmt.Errorf("%q: %w", arg, errNoOutputs)
	}
	wanted := strings.Split(names, ",")
	if names == "*" {
		wanted = slices.Sorted(maps.Keys(known))
	}
	for _, name := range wanted {
		p, ok := known[name]
		if !ok {
			return nil, true, fmt.Errorf("%q: %w: expected %s, got %q", arg, errNoOutputs, strings.Join(slices.Sorted(maps.Keys(known)), " or "), name)
		}
		paths = append(paths, p)
	}
	return paths, true, nil
}

// derivers replaces each path that is not a derivation by the derivation that
// built it.
func derivers(ctx context.Context, src store.Source, paths []storepath.Path) ([]storepath.Path, error) {
	var drvs []storepath.Path
	for _, p := range paths {
		if !p.IsDerivation() {
			info, err := src.PathInfo(ctx, p)
			if err != nil {
				return nil, err
			}
			if p = info.Deriver; p.IsZero() {
				return nil, fmt.Errorf("%s: %w", src.StoreDir().Join(info.Path), errNoDeriver)
			}
		}
		drvs = append(drvs, p)
	}
	return drvs, nil
}

var (
	errNoDeriver = errors.New("the store does not know the derivation that built it")
	errNoOutputs = errors.New("not a known output of a derivation")
)
