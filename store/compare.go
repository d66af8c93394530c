package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/internal/graph"
)

// comparison is the listing of a source, compared with that of a destination.
type comparison struct {
	paths   []packedHashPart // of the source, sorted
	present []bool           // which of them the destination has
	gone    int              // how many have disappeared from the source since
}

// compare lists a source of which all is copied, and the destination, so that only
// what is missing has to be read. It returns nil where listings do not answer
// which paths are missing, or what the copy does needs every description.
func (s *copySource) compare(ctx context.Context, dst Destination) (*comparison, error) {
	src, ok := s.Source.(*Cache)
	if !ok || !s.opts.All || s.opts.Repair || s.opts.Logs || len(s.opts.Signers) > 0 {
		return nil, nil
	}
	c := &comparison{}
	used := graph.NewTally(s.opts.Limits)
	for hashPart, err := range src.HashParts(ctx) {
		if err == nil {
			err = used.Path()
		}
		if err != nil {
			return nil, err
		}
		c.paths = append(c.paths, packedHashPart([]byte(hashPart)))
	}
	if len(c.paths) < listingFrom {
		return nil, nil
	}
	c.present = make([]bool, len(c.paths))
	last, count := c.paths[len(c.paths)-1], 0
	for hashPart, err := range dst.HashParts(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, ErrAccessDenied):
			return nil, nil
		case isAbsent(err):
			return c, nil
		case err != nil:
			return nil, err
		}
		if i := c.find(hashPart); i >= 0 {
			c.present[i] = true
		}
		if hashPart >= string(last[:]) {
			break
		}
		if count++; count > listingFactor*len(c.paths) {
			return nil, nil
		}
	}
	return c, nil
}

// find returns the index of a path of the source, or -1.
func (c *comparison) find(hashPart string) int {
	i, ok := slices.BinarySearchFunc(c.paths, hashPart, func(p packedHashPart, hashPart string) int {
		return bytes.Compare(p[:], []byte(hashPart))
	})
	if !ok {
		return -1
	}
	return i
}

// has reports whether the source and the destination have a path.
func (c *comparison) has(p storepath.Path) bool {
	if c == nil {
		return false
	}
	i := c.find(p.HashPart())
	return i >= 0 && c.present[i]
}

// hasOrAsk returns a function that reports whether the destination has a path that
// is not among those to copy.
func (c *comparison) hasOrAsk(dst Destination) func(context.Context, storepath.Path) (bool, error) {
	return func(ctx context.Context, p storepath.Path) (bool, error) {
		if c.has(p) {
			return true, nil
		}
		return dst.Has(ctx, p)
	}
}

// nodes yields the paths that the destination does not have.
func (c *comparison) nodes(ctx context.Context, src *Cache) iter.Seq2[*node, error] {
	missing := func(yield func(string, error) bool) {
		for i, hashPart := range c.paths {
			if !c.present[i] && !yield(string(hashPart[:]), nil) {
				return
			}
		}
	}
	return flow.Map(ctx, lookups, missing, func(ctx context.Context, hashPart string) (*node, error) {
		file, err := src.listedNarInfo(ctx, hashPart)
		if err != nil {
			return nil, err
		}
		n, err := newNode(file.Path, &file.PathInfo, file)
		if err != nil {
			return nil, fmt.Errorf("%s in %s: %w", file.Path, src, err)
		}
		return n, nil
	})
}
