package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

type duCommand struct {
	storeFlag
	JSON bool   `name:"json" help:"Print the sizes as JSON."`
	Path string `arg:"" help:"Store path."`
}

func (duCommand) Help() string {
	return "Prints the paths of the closure of PATH, the largest first: the size of the path's NAR, of its closure,\n" +
		"and the size by which the closure of PATH would shrink without the path."
}

type usage struct {
	Path        string `json:"path"`
	NARSize     int64  `json:"narSize"`
	ClosureSize int64  `json:"closureSize"`
	Alone       int64  `json:"aloneSize"`
	FileSize    int64  `json:"fileSize,omitempty"`
}

func (c *duCommand) Run(ctx context.Context, con *console) (err error) {
	from, err := openSource(ctx, con, c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	roots, err := findPaths(ctx, from.StoreDir(), from.byHash, []string{c.Path})
	if err != nil {
		return err
	}
	paths, err := closure(ctx, from, roots[0])
	if err != nil {
		return err
	}
	var rows []usage
	g := newSizes(paths)
	total := g.reachable(roots[0], storepath.Path{})
	for p, info := range paths {
		rows = append(rows, usage{
			Path: info.StoreDir.Join(p), NARSize: info.NarSize,
			ClosureSize: g.reachable(p, storepath.Path{}),
			Alone:       total - g.reachable(roots[0], p),
		})
	}
	slices.SortFunc(rows, func(a, b usage) int {
		return cmp.Or(cmp.Compare(b.NARSize, a.NARSize), cmp.Compare(a.Path, b.Path))
	})
	if c.JSON {
		if err := addFileSizes(ctx, from, rows); err != nil {
			return err
		}
		return printJSON(con.stdout, rows)
	}
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "NAR\tCLOSURE\tALONE\t  PATH\n")
	for _, row := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t  %s\n", size(row.NARSize), size(row.ClosureSize), size(row.Alone), row.Path)
	}
	return w.Flush()
}

// addFileSizes sets the FileSize of rows, which only the narinfos of a cache have.
func addFileSizes(ctx context.Context, from *opened, rows []usage) error {
	if from.cache == nil {
		return nil
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(64)
	for i := range rows {
		g.Go(func() error {
			p, err := from.StoreDir().Parse(rows[i].Path)
			if err != nil {
				return err
			}
			info, err := from.cache.NarInfo(gctx, p)
			if err == nil {
				rows[i].FileSize = info.FileSize
			}
			return err
		})
	}
	return g.Wait()
}

// sizes is a closure with its paths as numbers, which makes sums fast.
type sizes struct {
	number map[storepath.Path]int
	nar    []int64
	refs   [][]int
	seen   []int // the last walk that met a path
	walk   int
}

func newSizes(paths map[storepath.Path]*narinfo.PathInfo) *sizes {
	g := &sizes{number: map[storepath.Path]int{}, nar: make([]int64, len(paths)), refs: make([][]int, len(paths)), seen: make([]int, len(paths))}
	for p := range paths {
		g.number[p] = len(g.number)
	}
	for p, info := range paths {
		i := g.number[p]
		g.nar[i] = info.NarSize
		for _, ref := range info.References {
			g.refs[i] = append(g.refs[i], g.number[ref])
		}
	}
	return g
}

// reachable sums the NARs of a path's closure, without the paths that are
// reachable only through another path.
func (g *sizes) reachable(from, without storepath.Path) (total int64) {
	g.walk++
	if i, ok := g.number[without]; ok {
		g.seen[i] = g.walk
	}
	todo := []int{g.number[from]}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if g.seen[i] == g.walk {
			continue
		}
		g.seen[i] = g.walk
		total += g.nar[i]
		todo = append(todo, g.refs[i]...)
	}
	return total
}
