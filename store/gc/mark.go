package gc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/lease"
)

// ErrNoRoot is a list of roots none of which is in the cache.
var ErrNoRoot = errors.New("no root is in the cache")

// keeper is a reason to keep paths.
type keeper struct {
	name  string
	share Amount // of what no earlier keeper keeps
}

// mark keeps paths and all that they refer to, and returns how many were not
// kept before. by is the keeper to whom they count, or noKeeperID.
func (c *collector) mark(by id, roots ...id) int {
	g, n := &c.g, 0
	stack := slices.Clone(roots)
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if g.marks[i]&kept != 0 {
			continue
		}
		g.marks[i] |= kept
		n++
		c.keptBy = grown(c.keptBy, int(i)+1, noKeeper)
		c.keptBy[i] = uint16(min(by, id(noKeeper)))
		for _, ref := range g.references(i) {
			if g.marks[ref]&kept == 0 {
				stack = append(stack, ref)
			}
		}
	}
	return n
}

// noKeeper is the keeper of paths whose reason is not counted.
const (
	noKeeper   = 1<<16 - 1
	noKeeperID = id(noKeeper)
)

// grown returns s with at least n elements.
func grown[T any](s []T, n int, v T) []T {
	for len(s) < n {
		s = append(s, v)
	}
	return s
}

// keeper adds a reason to keep paths. The reasons above 65,533 count as one.
func (c *collector) keeper(name string) id {
	if k, ok := c.keeperOf[name]; ok {
		return k
	}
	if len(c.keepers) == noKeeper-1 {
		return id(noKeeper - 2)
	}
	c.keepers = append(c.keepers, keeper{name: name})
	c.keeperOf[name] = id(len(c.keepers) - 1)
	return c.keeperOf[name]
}

// markRoots keeps what the stored roots name. Expired roots, and those over the
// number of their group, are returned.
func (c *collector) markRoots(ctx context.Context) (over []string, err error) {
	var roots []readRoot
	for r, err := range readRoots(ctx, c.b) {
		if err != nil {
			return nil, err
		}
		roots = append(roots, r)
	}
	c.missing = slices.DeleteFunc(c.missing, func(m MissingRoot) bool { return m.Root != "" })
	now := c.clock.now()
	roots, over = trim(roots, c.opts.Keep, now)
	for _, r := range roots {
		k := c.keeper(r.Name)
		for _, p := range r.Paths {
			i, ok := c.pathID(p)
			if !ok {
				c.missing = append(c.missing, MissingRoot{r.Name, p})
			}
			c.mark(k, i)
		}
	}
	return over, nil
}

// pathID returns the id of a path, and whether it is visible.
func (c *collector) pathID(p storepath.Path) (id, bool) {
	h, ok := parseHashPart(p.HashPart())
	if !ok {
		return noID, false // not reached: a Path has a valid hash part
	}
	i := c.g.node(h)
	c.g.marks[i] |= named
	return i, c.g.marks[i]&listed != 0
}

// trim leaves out the roots that have expired, and of each group the oldest above
// its number. It returns the names of those that it left out.
func trim(roots []readRoot, keep map[string]int, now time.Time) (rest []readRoot, over []string) {
	gone := map[string]bool{}
	for _, r := range roots {
		if !r.expires.IsZero() && !now.Before(r.expires) {
			gone[r.Name] = true
		}
	}
	for _, group := range slices.Sorted(maps.Keys(keep)) {
		var members []readRoot
		for _, r := range roots {
			if strings.HasPrefix(r.Name, strings.Trim(group, "/")+"/") && !gone[r.Name] {
				members = append(members, r)
			}
		}
		slices.SortFunc(members, func(x, y readRoot) int {
			return cmp.Or(y.Set.Compare(x.Set), strings.Compare(y.Name, x.Name))
		})
		for _, r := range members[min(len(members), max(0, keep[group])):] {
			gone[r.Name] = true
		}
	}
	rest = slices.DeleteFunc(slices.Clone(roots), func(r readRoot) bool { return gone[r.Name] })
	return rest, slices.Sorted(maps.Keys(gone))
}

// markGiven keeps the roots of the options.
func (c *collector) markGiven() error {
	if len(c.opts.Roots) == 0 {
		return nil
	}
	k, found := c.keeper("(given)"), false
	for _, p := range c.opts.Roots {
		i, ok := c.pathID(p)
		if !ok {
			c.missing = append(c.missing, MissingRoot{"", p})
		}
		found = found || ok
		c.mark(k, i)
	}
	if !found {
		return fmt.Errorf("%w: none of the %d given is, such as %s", ErrNoRoot, len(c.opts.Roots), c.opts.Roots[0])
	}
	return nil
}

// markLeases keeps what writers at work have leased, and what writers have found
// recently. It reports whether a writer has leased everything.
func (c *collector) markLeases(leases []lease.Held) (all bool) {
	now := c.clock.now()
	k := noID
	c.oldestWriter = time.Time{}
	for _, l := range leases {
		if l.Expired(l.ModTime, now) {
			continue
		}
		if l.Done {
			if secondsOf(l.ModTime) >= c.recentSince() && !c.pathsGiven {
				c.markLeased(c.keeper("(recent)"), l)
			}
			continue
		}
		if k == noID {
			k = c.keeper("(writers at work)")
		}
		all = all || l.All
		if c.oldestWriter.IsZero() || l.Start.Before(c.oldestWriter) {
			c.oldestWriter = l.Start
		}
		c.markLeased(k, l)
		for _, key := range l.Archives {
			c.keptStems[stem(key)] = true
		}
	}
	return all
}

// markLeased keeps the paths that a lease names.
func (c *collector) markLeased(by id, l lease.Held) {
	for _, part := range l.Paths {
		if h, ok := parseHashPart(part); ok {
			c.mark(by, c.g.node(h))
		}
	}
}

// recentSince returns since when uploads are kept for being recent.
func (c *collector) recentSince() seconds {
	span := max(c.opts.Recent, c.opts.KeepSince)
	if span == 0 {
		return math.MaxUint32
	}
	return secondsOf(c.clock.now().Add(-span))
}

// markRecent keeps what was uploaded within a time, and broken narinfos.
func (c *collector) markRecent() {
	since, recent, spoilt := c.recentSince(), c.keeper("(recent)"), noID
	for i := range c.g.visible {
		if c.g.marks[i]&broken != 0 {
			if spoilt == noID {
				spoilt = c.keeper("(cannot be read)")
			}
			c.mark(spoilt, i)
		} else if c.g.added[i] >= since {
			c.mark(recent, i)
		}
	}
}
