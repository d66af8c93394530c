package verify

import (
	"context"
	"fmt"
	"time"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/gc"
	"example.com/nixs3/store/internal/naming"
	"example.com/nixs3/store/layout"
)

// Report is what Repair, Sign or Mirror has done. It is valid also where they
// fail.
type Report struct {
	Paths     int // that were looked at
	Changed   int // of those, paths that were signed, mended or copied
	Signed    int // of Changed, paths that a mirror had and that got further signatures
	Unchanged int // of those, paths that needed nothing

	Skipped []Problem // what was left as it was, and why
	Failed  []Problem // what could not be done

	// Hidden are the paths that were made invisible. HiddenBy is the name by
	// which gc.Undo brings them back.
	Hidden   []storepath.Path
	HiddenBy string

	// Removed are the paths that a mirror has and its source has no more.
	Removed []storepath.Path

	// Keys are the objects that were written or removed, which a CDN in front
	// of the cache may still have as they were.
	Keys []string

	Bytes   int64 // of archives that were fetched
	Elapsed time.Duration
}

// Problem is a path or an object with which something is wrong.
type Problem struct {
	Path storepath.Path // zero where it is not known
	Key  string         // of the object
	Err  error
}

// Error returns the problem in one line.
func (p Problem) Error() string {
	subject, id := p.Key, p.Key
	if !p.Path.IsZero() {
		subject, id = p.Path.String(), p.Path.HashPart()
	}
	return naming.Error(subject, id, p.Err).Error()
}

// Unwrap returns the reason.
func (p Problem) Unwrap() error { return p.Err }

// hide makes paths invisible, with all that refers to them.
func (r *Report) hide(ctx context.Context, cache *store.Cache, paths []storepath.Path) error {
	if len(paths) == 0 {
		return nil
	}
	hidden, err := gc.Hide(ctx, cache, paths, gc.Options{Logger: cache.Settings().Logger})
	if err != nil {
		return fmt.Errorf("hiding paths: %w", err)
	}
	r.HiddenBy = hidden.Run
	for _, p := range hidden.Paths {
		path, err := storepath.ParseBase(p.Path)
		if err != nil {
			return fmt.Errorf("hiding paths: %w", err)
		}
		r.Hidden = append(r.Hidden, path)
		r.Keys = append(r.Keys, layout.NarInfoKey(path.HashPart()), layout.ListingKey(path.HashPart()))
	}
	return nil
}

// failure is the error of a report with failures.
func (r *Report) failure(what string) error {
	if len(r.Failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d paths could not be %s, the first: %w", len(r.Failed), r.Paths, what, r.Failed[0])
}
