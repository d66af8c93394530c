package gc

import (
	"cmp"
	"context"
	"slices"
	"time"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// Statistics describe a cache.
type Statistics struct {
	Kinds       map[string]Objects `json:"kinds"` // by layout.Kind
	Paths       Amount             `json:"paths"`
	Compression map[string]Objects `json:"compression"` // archives by their extension
	ByAge       []AgeShare         `json:"byAge"`       // Gone is what no root keeps
	Largest     []Closure          `json:"largest"`     // closures of paths to which no other refers, the biggest first
	Unrooted    Amount             `json:"unrooted"`    // paths that no root keeps

	Incomplete       []string `json:"incomplete"`       // paths that lack a reference
	WithoutArchive   []string `json:"withoutArchive"`   // paths whose archive is missing
	Unreferenced     Objects  `json:"unreferenced"`     // archives without a narinfo
	Broken           []string `json:"broken"`           // keys of narinfos that cannot be read
	MissingRootPaths int      `json:"missingRootPaths"` // that the cache does not have
}

// Closure is a path with all that it refers to.
type Closure struct {
	Path string `json:"path"`
	Amount
}

// maxLargest is how many closures are measured, and reported.
const (
	maxMeasured = 1000
	maxLargest  = 20
)

// Stats looks at the whole cache and changes nothing.
func Stats(ctx context.Context, cache *store.Cache) (*Statistics, error) {
	c := newCollector(cache, Options{DryRun: true, KeepBroken: true, Recent: -1, Grace: -1})
	c.clock = newClock(time.Now())
	if err := c.recall(ctx); err != nil {
		return nil, err
	}
	if _, err := c.look(ctx); err != nil {
		return nil, err
	}
	if _, err := c.markRoots(ctx); err != nil {
		return nil, err
	}
	s := &Statistics{Kinds: map[string]Objects{}, Compression: map[string]Objects{}, MissingRootPaths: len(c.missing)}
	if err := c.countObjects(ctx, s); err != nil {
		return nil, err
	}
	c.fill()
	s.Paths = c.report.Kept
	s.Paths.Paths += c.report.Gone.Paths
	s.Paths.NarBytes += c.report.Gone.NarBytes
	s.Paths.FileBytes += c.report.Gone.FileBytes
	s.ByAge, s.Unrooted, s.Broken = c.report.ByAge, c.report.Gone, c.report.Broken
	c.findFaults(s)
	var err error
	s.Largest, err = c.largest(ctx)
	orEmpty(&s.Largest)
	for _, names := range []*[]string{&s.Incomplete, &s.WithoutArchive, &s.Broken} {
		orEmpty(names)
	}
	return s, err
}

// countObjects lists the whole bucket.
func (c *collector) countObjects(ctx context.Context, s *Statistics) error {
	used := make([]bool, len(c.g.archives.stem))
	for i := range c.g.visible {
		if a := c.g.archive[i]; a != noID {
			used[a] = true
		}
	}
	return list(ctx, c.b, "", false, func(attrs blob.Attrs) error {
		kind := layout.KindOf(attrs.Key)
		count(s.Kinds, kind.String(), attrs.Size)
		if kind != layout.Archive {
			return nil
		}
		count(s.Compression, compressionOf(attrs.Key), attrs.Size)
		a := c.g.archives.find(stem(attrs.Key))
		if a == noID || !used[a] {
			s.Unreferenced.add(attrs.Size)
			return nil
		}
		c.g.archives.size[a] += attrs.Size
		return nil
	})
}

func count(m map[string]Objects, key string, bytes int64) {
	o := m[key]
	o.add(bytes)
	m[key] = o
}

// compressionOf returns the compression that the extension of an archive names.
func compressionOf(key string) string {
	for i := len(key) - 1; i >= 0 && key[i] != '/'; i-- {
		if key[i] == '.' {
			if ext := key[i+1:]; ext != "nar" {
				return ext
			}
			return "none"
		}
	}
	return "none"
}

func (c *collector) findFaults(s *Statistics) {
	g := &c.g
	for i := range g.visible {
		if g.marks[i]&broken != 0 {
			continue
		}
		if slices.ContainsFunc(g.references(i), func(ref id) bool { return g.marks[ref]&listed == 0 }) {
			s.Incomplete = append(s.Incomplete, g.base(i))
		}
		if a := g.archive[i]; a != noID && g.archives.inNar[a] && g.archives.size[a] == 0 {
			s.WithoutArchive = append(s.WithoutArchive, g.base(i))
		}
	}
}

// largest measures the closures of paths to which no other refers.
func (c *collector) largest(ctx context.Context) ([]Closure, error) {
	g := &c.g
	used := make([]bool, g.len())
	for i := range g.visible {
		for _, ref := range g.references(i) {
			used[ref] = true
		}
	}
	var tops []id
	for i := range g.visible {
		if !used[i] {
			tops = append(tops, i)
		}
	}
	slices.SortFunc(tops, func(x, y id) int { return cmp.Compare(len(g.references(y)), len(g.references(x))) })
	seen := make([]int32, g.len())
	var found []Closure
	for n, top := range tops[:min(len(tops), maxMeasured)] {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		closure := Closure{Path: g.base(top)}
		stack := []id{top}
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[i] == int32(n+1) || g.marks[i]&listed == 0 {
				continue
			}
			seen[i] = int32(n + 1)
			closure.add(g.size[i], g.fileSize(i))
			stack = append(stack, g.references(i)...)
		}
		found = append(found, closure)
	}
	slices.SortFunc(found, func(x, y Closure) int { return cmp.Compare(y.FileBytes, x.FileBytes) })
	return found[:min(len(found), maxLargest)], nil
}
