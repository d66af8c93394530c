package store

import (
	"context"
	"iter"
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

const (
	// pagesAlone is how many pages are listed one after the other, before the
	// rest is listed in parallel. They show how dense the keys are.
	pagesAlone = 4

	// pagesOfRange is how many pages a range of keys should take. It is made
	// smaller than that by rangeMargin, about 3.5 standard deviations of what the
	// first pages and chance make of it, so that few ranges take another page.
	pagesOfRange = 3
	rangeMargin  = 0.08

	// listingWorkers is how many ranges are listed at a time.
	listingWorkers = 32
)

// HashParts yields the hash part of every path in byte order. Where the bucket is
// listed in pages, ranges of keys after the first pages are listed in parallel, 32
// at a time, in 32 bytes of memory a path that is listed ahead.
func (c *Cache) HashParts(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		_, err := c.describe(ctx)
		if err == nil {
			err = c.listHashParts(ctx, func(hashPart string) bool { return yield(hashPart, nil) })
		}
		if err != nil {
			yield("", err)
		}
	}
}

// listHashParts calls yield for each hash part until it returns false.
func (c *Cache) listHashParts(ctx context.Context, yield func(string) bool) error {
	alone := math.MaxInt
	if p, ok := blob.As[blob.Pager](c.bucket); ok {
		alone = pagesAlone * p.PageSize()
	}
	keys := 0
	for attrs, err := range c.bucket.List(ctx, blob.ListOptions{Shallow: true}) {
		if err != nil {
			return err
		}
		keys++
		if hashPart, ok := layout.ParseNarInfoKey(attrs.Key); ok {
			if !yield(hashPart) {
				return nil
			}
		}
		if keys >= alone {
			if at := position(attrs.Key); at < 1 && float64(keys) < at*plausible {
				perRange := float64(alone) / pagesAlone * pagesOfRange * (1 - rangeMargin)
				return c.listRanges(ctx, rangesAfter(attrs.Key, perRange*at/float64(keys)), yield)
			}
		}
	}
	return nil
}

// plausible is the number of keys above which what the first pages say of the
// rest is not believed: the keys are not hash parts as they occur.
const plausible = 20e6

// keyRange is the keys after start and before end; without an end if that is "".
type keyRange struct{ start, end string }

// rangesAfter cuts the keys after one into ranges of a width, as a part of the
// space of hash parts.
func rangesAfter(last string, width float64) []keyRange {
	var ranges []keyRange
	start := last
	for x := position(last) + width; x < 1; x += width {
		end := boundary(x)
		if end > start {
			ranges = append(ranges, keyRange{start, end})
			start = end
		}
	}
	return append(ranges, keyRange{start, ""})
}

// nix32 are the characters of hash parts, in byte order.
const nix32 = "0123456789abcdfghijklmnpqrsvwxyz"

// boundaryLength is the length of a boundary between ranges: enough for 30 million
// of them.
const boundaryLength = 5

// position returns where a key is in the space of hash parts, from 0 to below 1,
// or 1 for a key that is not in it.
func position(key string) float64 {
	x, unit := 0.0, 1.0/float64(len(nix32))
	for i := range min(boundaryLength, len(key)) {
		digit := strings.IndexByte(nix32, key[i])
		if digit < 0 {
			return 1
		}
		x += float64(digit) * unit
		unit /= float64(len(nix32))
	}
	return x
}

// boundary returns the beginning of the hash parts at a position.
func boundary(x float64) string {
	b := make([]byte, boundaryLength)
	for i := range b {
		x *= float64(len(nix32))
		digit := min(int(x), len(nix32)-1)
		b[i] = nix32[digit]
		x -= float64(digit)
	}
	return string(b)
}

// packedHashPart is a hash part in 32 bytes.
type packedHashPart [32]byte

// listedRange is the result of listing a range.
type listedRange struct {
	hashParts []packedHashPart
	err       error
}

// listRanges lists ranges in parallel, and yields their hash parts in order.
func (c *Cache) listRanges(ctx context.Context, ranges []keyRange, yield func(string) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	results := make([]chan listedRange, len(ranges))
	for i := range results {
		results[i] = make(chan listedRange, 1)
	}
	var next atomic.Int64
	for range min(len(ranges), listingWorkers, c.settings.Budget.Requests) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= int64(len(ranges)) {
					return
				}
				results[i] <- c.listRange(ctx, ranges[i])
			}
		})
	}
	for _, result := range results {
		var r listedRange
		select {
		case r = <-result:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if r.err != nil {
			return r.err
		}
		for _, hashPart := range r.hashParts {
			if !yield(string(hashPart[:])) {
				return nil
			}
		}
	}
	return nil
}

func (c *Cache) listRange(ctx context.Context, within keyRange) (r listedRange) {
	for attrs, err := range c.bucket.List(ctx, blob.ListOptions{StartAfter: within.start, Shallow: true}) {
		if err != nil {
			r.err = err
			return r
		}
		if within.end != "" && attrs.Key >= within.end {
			break
		}
		if hashPart, ok := layout.ParseNarInfoKey(attrs.Key); ok {
			r.hashParts = append(r.hashParts, packedHashPart([]byte(hashPart)))
		}
	}
	return r
}
