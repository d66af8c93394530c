package main

import (
	"context"
	"fmt"

	"example.com/nixs3/store"
	"example.com/nixs3/store/gc"
)

type deleteCommand struct {
	cacheFlag
	Referrers bool         `help:"Delete also all paths that refer to these."`
	Grace     durationFlag `default:"30d" placeholder:"TIME" help:"Keep archives, and the ability to undo, for this time (${default})."`
	Alone     bool         `help:"Assert that no collector runs, for servers that ignore the conditions of writes."`
	JSON      bool         `name:"json" help:"Print the report as JSON."`
	Paths     []string     `arg:"" name:"path" help:"Store paths: full paths, base names, hash parts, or links such as ./result."`
}

func (deleteCommand) Help() string {
	return "Hides paths from readers. Refuses paths to which others refer or that a root keeps.\n" +
		"\"nixs3 gc undo\" restores deleted paths."
}

func (c *deleteCommand) Run(ctx context.Context, con *console) error {
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		paths, err := findPaths(ctx, cache.StoreDir(), cacheByHash(cache), c.Paths)
		if err != nil {
			return err
		}
		opts := gc.DeleteOptions{Referrers: c.Referrers}
		opts.Grace, opts.Alone, opts.Logger, opts.Options.Paths = c.Grace.orNone(), c.Alone, con.logger, -1
		report, err := gc.Delete(ctx, cache, paths, opts)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(con.stdout, report)
		}
		for _, p := range report.Paths {
			if _, err := fmt.Fprintln(con.stdout, string(cache.StoreDir())+"/"+p.Path); err != nil {
				return err
			}
		}
		printOddities(con, &gc.Report{Busy: report.Busy})
		if report.Run != "" && !con.quiet {
			fmt.Fprintf(con.stderr, "run %s; nixs3 gc undo restores the paths\n", report.Run)
		}
		return nil
	})
}
