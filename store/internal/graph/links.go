package graph

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"example.com/nixs3/narinfo/storepath"
)

// ErrCycle is a set of paths that refer to each other in a circle.
var ErrCycle = errors.New("references form a cycle")

// Links are the references among a set of paths, in both directions. References
// to paths outside of the set, and of a path to itself, do not count. Links are
// not safe for concurrent use.
type Links struct {
	waiting map[storepath.Path]int
	users   map[storepath.Path][]storepath.Path
}

// Link returns the links among nodes, none of which may have a nil Info.
func Link[N Node](nodes iter.Seq[N]) *Links {
	l := &Links{waiting: map[storepath.Path]int{}, users: map[storepath.Path][]storepath.Path{}}
	for n := range nodes {
		l.waiting[n.Info().Path] = 0
	}
	for n := range nodes {
		p := n.Info().Path
		for _, ref := range References(n) {
			if _, ok := l.waiting[ref]; ok {
				l.waiting[p]++
				l.users[ref] = append(l.users[ref], p)
			}
		}
	}
	return l
}

// References returns the distinct paths that a node refers to, without itself,
// sorted.
func References(n Node) []storepath.Path {
	info := n.Info()
	refs := slices.DeleteFunc(slices.Clone(info.References), func(p storepath.Path) bool { return p == info.Path })
	slices.SortFunc(refs, storepath.Path.Compare)
	return slices.Compact(refs)
}

// Ready reports whether all references of a path are done.
func (l *Links) Ready(p storepath.Path) bool { return l.waiting[p] == 0 }

// Done says that a path is done. It returns the paths that have become ready by
// it.
func (l *Links) Done(p storepath.Path) []storepath.Path {
	var ready []storepath.Path
	for _, user := range l.users[p] {
		if l.waiting[user]--; l.waiting[user] == 0 {
			ready = append(ready, user)
		}
	}
	return ready
}

// Users returns the paths that refer to p.
func (l *Links) Users(p storepath.Path) []storepath.Path { return l.users[p] }

// Order returns all paths, each after its references, and consumes the links.
// It fails with ErrCycle where paths refer to each other in a circle.
func (l *Links) Order() ([]storepath.Path, error) {
	var order []storepath.Path
	for p, n := range l.waiting {
		if n == 0 {
			order = append(order, p)
		}
	}
	for i := 0; i < len(order); i++ {
		order = append(order, l.Done(order[i])...)
	}
	if len(order) == len(l.waiting) {
		return order, nil
	}
	var circle []storepath.Path
	for p, n := range l.waiting {
		if n > 0 {
			circle = append(circle, p)
		}
	}
	slices.SortFunc(circle, storepath.Path.Compare)
	return nil, fmt.Errorf("%w among or below %d paths, such as %s", ErrCycle, len(circle), circle[0])
}
