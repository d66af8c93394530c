package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

type diffCommand struct {
	storeFlag
	JSON bool   `name:"json" help:"Print the difference as JSON."`
	A    string `arg:"" help:"Store path whose closure is compared."`
	B    string `arg:"" help:"Store path whose closure it is compared with."`
}

func (diffCommand) Help() string {
	return "Prints the paths that are only in the closure of A (-) or only in the closure of B (+), with the sizes\n" +
		"of their NARs, and the difference of the closures' sizes."
}

type closureDiff struct {
	Removed []sizedPath `json:"removed"`
	Added   []sizedPath `json:"added"`
	Before  int64       `json:"closureSizeBefore"`
	After   int64       `json:"closureSizeAfter"`
}

type sizedPath struct {
	Path    string `json:"path"`
	NARSize int64  `json:"narSize"`
}

func (c *diffCommand) Run(ctx context.Context, con *console) (err error) {
	from, err := openSource(ctx, con, c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	paths, err := findPaths(ctx, from.StoreDir(), from.byHash, []string{c.A, c.B})
	if err != nil {
		return err
	}
	a, err := closure(ctx, from, paths[0])
	if err != nil {
		return err
	}
	b, err := closure(ctx, from, paths[1])
	if err != nil {
		return err
	}
	d := closureDiff{Removed: without(a, b), Added: without(b, a), Before: sumNARs(a), After: sumNARs(b)}
	if c.JSON {
		return printJSON(con.stdout, d)
	}
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, p := range d.Removed {
		fmt.Fprintf(w, "-\t%s\t  %s\n", size(p.NARSize), p.Path)
	}
	for _, p := range d.Added {
		fmt.Fprintf(w, "+\t%s\t  %s\n", size(p.NARSize), p.Path)
	}
	sign, change := "+", d.After-d.Before
	if change < 0 {
		sign, change = "-", -change
	}
	fmt.Fprintf(w, "\t%s%s\t  closure, now %s\n", sign, size(change), size(d.After))
	return w.Flush()
}

// without returns the paths of a that b does not have. They are sorted by name,
// not hash, so that versions of one program are at the same place of both lists.
func without(a, b map[storepath.Path]*narinfo.PathInfo) []sizedPath {
	var only []*narinfo.PathInfo
	for p, info := range a {
		if b[p] == nil {
			only = append(only, info)
		}
	}
	slices.SortFunc(only, func(x, y *narinfo.PathInfo) int {
		return cmp.Or(cmp.Compare(x.Path.Name(), y.Path.Name()), x.Path.Compare(y.Path))
	})
	paths := []sizedPath{}
	for _, info := range only {
		paths = append(paths, sizedPath{info.StoreDir.Join(info.Path), info.NarSize})
	}
	return paths
}

func sumNARs(paths map[storepath.Path]*narinfo.PathInfo) (total int64) {
	for _, info := range paths {
		total += info.NarSize
	}
	return total
}
