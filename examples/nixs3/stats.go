package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"example.com/nixs3/store"
	"example.com/nixs3/store/gc"
)

type statsCommand struct {
	cacheFlag
	JSON bool `name:"json" help:"Print all that was found as JSON."`
}

func (statsCommand) Help() string {
	return "Lists the whole cache, and reads the narinfos that no collection has read before. Nothing is changed."
}

func (c *statsCommand) Run(ctx context.Context, con *console) error {
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		s, err := gc.Stats(ctx, cache)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(con.stdout, s)
		}
		return printStats(con, s)
	})
}

func printStats(con *console, s *gc.Statistics) error {
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "objects\t\t\t\n")
	printObjects(w, s.Kinds)
	fmt.Fprintf(w, "\narchives\t\t\t\n")
	printObjects(w, s.Compression)
	fmt.Fprintf(w, "\npaths\t\tNARs\tfiles\t\n")
	printAmount(w, "all", s.Paths)
	printAmount(w, "no root keeps", s.Unrooted)
	for _, a := range s.ByAge {
		total := a.Kept
		total.Paths, total.NarBytes, total.FileBytes = total.Paths+a.Gone.Paths, total.NarBytes+a.Gone.NarBytes, total.FileBytes+a.Gone.FileBytes
		printAmount(w, ageName(a), total)
	}
	if len(s.Largest) > 0 {
		fmt.Fprintf(w, "\nlargest closures\tpaths\tNARs\tfiles\t\n")
	}
	for _, l := range s.Largest {
		printAmount(w, l.Path, l.Amount)
	}
	fmt.Fprintf(w, "\nfaults\t\t\t\n")
	fmt.Fprintf(w, "archives without a narinfo\t%d\t%s\t\n", s.Unreferenced.Objects, size(s.Unreferenced.Bytes))
	fmt.Fprintf(w, "paths of roots that are missing\t%d\t\t\n", s.MissingRootPaths)
	for _, fault := range []struct {
		what  string
		paths []string
	}{
		{"narinfos without an archive", s.WithoutArchive},
		{"incomplete closures", s.Incomplete},
		{"narinfos that cannot be read", s.Broken},
	} {
		fmt.Fprintf(w, "%s\t%d\t\t\n", fault.what, len(fault.paths))
		if len(fault.paths) > 0 && !con.quiet {
			fmt.Fprintf(con.stderr, "%s: %s\n", fault.what, strings.Join(fault.paths[:min(len(fault.paths), shownPaths)], ", "))
		}
	}
	return w.Flush()
}

func printObjects(w *tabwriter.Writer, objects map[string]gc.Objects) {
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		fmt.Fprintf(w, "%s\t%d\t%s\t\n", name, objects[name].Objects, size(objects[name].Bytes))
	}
}

func printAmount(w *tabwriter.Writer, name string, a gc.Amount) {
	fmt.Fprintf(w, "%s\t%d\t%s\t%s\t\n", name, a.Paths, size(a.NarBytes), size(a.FileBytes))
}
