package locate

import (
	"context"
	"encoding/json"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/layout"
)

// listing reads the stored listing of a path, or with Options.Archives lists the
// archive where there is none that can be read.
func (u *updater) listing(ctx context.Context, p storepath.Path, listed bool) (*nar.Listing, error) {
	var err error
	if listed {
		var l *nar.Listing
		if l, err = u.storedListing(ctx, p); err == nil {
			return l, nil
		}
	}
	if !u.opts.Archives || ctx.Err() != nil {
		return nil, err
	}
	return u.cache.Listing(ctx, p)
}

func (u *updater) storedListing(ctx context.Context, p storepath.Path) (*nar.Listing, error) {
	text, _, err := u.cache.ReadObject(ctx, layout.ListingKey(p.HashPart()))
	if err != nil {
		return nil, err
	}
	var l nar.Listing
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, err
	}
	return &l, nil
}
