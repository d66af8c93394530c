package graph

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"example.com/nixs3/narinfo"
)

// ErrTooLarge is a closure that grows over its Limits.
var ErrTooLarge = errors.New("closure is too large")

// Limits bound a closure whose description comes from outside. The zero value
// of a field is its default. No real closure comes near the defaults; a source
// that invents paths does.
type Limits struct {
	// Paths is the number of paths. Default 2,000,000.
	Paths int

	// References is the number of references of all paths together. Default
	// 40,000,000.
	References int64

	// NarSize is what the archives of all paths together claim to be
	// uncompressed, in bytes. Default 64 TiB.
	NarSize int64
}

// Tally is how much of its limits a closure has used up.
type Tally struct {
	limits     Limits
	paths      int
	references int64
	narSize    int64
}

// NewTally returns the tally of an empty closure.
func NewTally(l Limits) *Tally {
	l.Paths = cmp.Or(l.Paths, 2_000_000)
	l.References = cmp.Or(l.References, 40_000_000)
	l.NarSize = cmp.Or(l.NarSize, 64<<40)
	return &Tally{limits: l}
}

// Add counts a path with what it claims. It fails with ErrTooLarge when the
// closure has grown over its limits.
func (t *Tally) Add(info *narinfo.PathInfo) error {
	if err := t.Path(); err != nil {
		return err
	}
	return t.info(info)
}

// Path counts a path whose claims are not known, or are counted later by no call
// of Add. It fails as Add does.
func (t *Tally) Path() error {
	if t.paths++; t.paths > t.limits.Paths {
		return fmt.Errorf("%w: more than %d paths", ErrTooLarge, t.limits.Paths)
	}
	return nil
}

// info counts what a path claims.
func (t *Tally) info(info *narinfo.PathInfo) error {
	t.references += int64(len(info.References))
	if t.references > t.limits.References {
		return fmt.Errorf("%w: more than %d references at %s", ErrTooLarge, t.limits.References, info.Path)
	}
	if size := max(info.NarSize, 0); size > math.MaxInt64-t.narSize {
		t.narSize = math.MaxInt64
	} else {
		t.narSize += size
	}
	if t.narSize > t.limits.NarSize {
		return fmt.Errorf("%w: the archives up to %s claim more than %d bytes", ErrTooLarge, info.Path, t.limits.NarSize)
	}
	return nil
}
