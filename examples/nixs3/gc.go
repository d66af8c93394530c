package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/nixs3/store"
	"example.com/nixs3/store/gc"
)

type gcCommands struct {
	Run  gcCommand     `cmd:"" default:"withargs" help:"Make everything invisible that no root keeps."`
	List gcListCommand `cmd:"" help:"List what earlier runs made invisible and can be brought back."`
	Undo gcUndoCommand `cmd:"" help:"Bring back what a run made invisible."`
}

type gcCommand struct {
	cacheFlag
	Recent    durationFlag   `default:"24h" placeholder:"TIME" help:"Keep what was uploaded within this time, which protects writers such as nix copy (${default})."`
	Grace     durationFlag   `default:"30d" placeholder:"TIME" help:"Keep archives, and the way back, for this time after their paths went (${default}). Nix clients remember a path for 30 days."`
	KeepSince durationFlag   `placeholder:"TIME" help:"Keep what was uploaded within this time."`
	Keep      map[string]int `placeholder:"GROUP=N" help:"Remove all but the newest N roots of a group, such as ci/main=10. May be repeated."`
	Root      []string       `placeholder:"PATH" sep:"none" help:"Keep this store path too, for this run; - reads paths from standard input. May be repeated."`
	RootsFrom []string       `type:"existingfile" placeholder:"FILE" sep:"none" help:"Keep the paths of a file too: one a line, or what nix-store --gc --print-roots prints, compressed or not. May be repeated."`
	NoRoots   bool           `help:"Collect a cache that has no root at all."`
	Broken    string         `enum:"stop,keep" default:"stop" help:"What to do about narinfos that cannot be read: stop, or keep them and all that they mention."`
	Alone     bool           `help:"Promise that no other collector runs, for servers that ignore the conditions of writes."`
	Inventory string         `placeholder:"URL" help:"Take the list of archives from the manifest.json of an S3 Inventory in CSV or Parquet, such as s3://inventory/cache/daily/2026-11-25T01-00Z/manifest.json?region=…, instead of listing them."`
	Manifest  string         `placeholder:"FILE" help:"Write what would be destroyed into a manifest for S3 Batch Operations, a file or an s3:// URL with a key, and do not destroy it. Its lines are bucket and key. A job may tag the objects, and a lifecycle rule let the tag expire."`
	DryRun    bool           `help:"Print what would go and what would stay, and delete nothing."`
	JSON      bool           `name:"json" help:"Print the report as JSON."`
}

func (gcCommand) Help() string {
	return "What is reachable from a root stays (see \"nixs3 root\"), and what was uploaded recently. Everything else becomes\n" +
		"invisible at once and can be brought back by \"nixs3 gc undo\" until its archives go, after the grace\n" +
		"period. Writers may work meanwhile. No database or server is needed; the bucket keeps all.\n\n" +
		"    nixs3 gc --store 's3://cache?region=eu-west-1' --dry-run\n" +
		"    nixs3 gc --store 's3://cache?region=eu-west-1' --keep ci/main=10 --keep-since 14d"
}

// Validate is called by kong.
func (c *gcCommand) Validate() error {
	for group, n := range c.Keep {
		if n < 0 || strings.Trim(group, "/") == "" {
			return fmt.Errorf("--keep %s=%d: expected a group and a number that is not negative", group, n)
		}
	}
	return nil
}

func (c *gcCommand) Run(ctx context.Context, con *console) error {
	if os.Getenv("GOGC") == "" {
		// A graph of many paths lives as long as the command.
		debug.SetGCPercent(25)
	}
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		opts, err := c.options(ctx, con, cache)
		if err != nil {
			return err
		}
		report, err := c.collect(ctx, con, cache, opts)
		if err != nil && report.Run == "" {
			return err
		}
		if c.JSON {
			return errors.Join(err, printJSON(con.stdout, report))
		}
		return errors.Join(err, printCollected(con, report))
	})
}

func (c *gcCommand) options(ctx context.Context, con *console, cache *store.Cache) (gc.Options, error) {
	opts := gc.Options{
		Recent: c.Recent.orNone(), Grace: c.Grace.orNone(), KeepSince: time.Duration(c.KeepSince), Keep: c.Keep,
		DryRun: c.DryRun, KeepBroken: c.Broken == "keep", Alone: c.Alone, Logger: con.logger,
	}
	if c.JSON {
		opts.Paths = -1
	}
	var err error
	if c.Inventory != "" {
		if opts.Inventory, err = c.openInventory(ctx, con); err != nil {
			return opts, err
		}
	}
	if opts.Roots, err = rootPaths(ctx, con, cache, c.Root, c.RootsFrom); err != nil {
		return opts, err
	}
	if c.NoRoots || c.DryRun || c.KeepSince > 0 || len(opts.Roots) > 0 {
		return opts, nil
	}
	for _, err := range gc.Roots(ctx, cache) {
		return opts, err
	}
	return opts, errors.New("the cache has no roots, so everything except recent uploads would be deleted; set one with \"nixs3 root set\", or confirm with --no-roots")
}

// shownPaths is how many paths and roots are printed.
const shownPaths = 20

func printCollected(con *console, r *gc.Report) error {
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	label := strings.NewReplacer()
	if r.DryRun {
		label = strings.NewReplacer("stays", "would stay", "gone", "would go", "destroyed", "would be destroyed", "condemned", "would be condemned")
	}
	fmt.Fprintf(w, "%s\t%d paths\t%s\tin %s\t\n", label.Replace("stays"), r.Kept.Paths, size(r.Kept.NarBytes), size(r.Kept.FileBytes))
	fmt.Fprintf(w, "%s\t%d paths\t%s\tin %s\t\n", label.Replace("gone"), r.Gone.Paths, size(r.Gone.NarBytes), size(r.Gone.FileBytes))
	fmt.Fprintf(w, "%s\t%d objects\t\t%s\t\n", label.Replace("destroyed"), r.Destroyed.Objects, size(r.Destroyed.Bytes))
	fmt.Fprintf(w, "%s\t%d objects\t\t%s\t\n", label.Replace("condemned"), r.Condemned.Objects, size(r.Condemned.Bytes))
	if len(r.ByRoot) > 0 {
		fmt.Fprintf(w, "\nkept by\tpaths\tNARs\tfiles\t\n")
	}
	for _, s := range r.ByRoot[:min(len(r.ByRoot), shownPaths)] {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t\n", visible(s.Root), s.Paths, size(s.NarBytes), size(s.FileBytes))
	}
	fmt.Fprintf(w, "\nuploaded\tstays\t\tgone\t\t\n")
	for _, a := range r.ByAge {
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t\n", ageName(a), a.Kept.Paths, size(a.Kept.FileBytes), a.Gone.Paths, size(a.Gone.FileBytes))
	}
	if len(r.Paths) > 0 {
		fmt.Fprintf(w, "\n%s, the biggest first\t\tNAR\tfile\t\n", label.Replace("gone"))
	}
	for _, p := range r.Paths[:min(len(r.Paths), shownPaths)] {
		fmt.Fprintf(w, "%s\t\t%s\t%s\t\n", p.Path, size(p.NarBytes), size(p.FileBytes))
	}
	printOddities(con, r)
	if r.Run != "" && !r.DryRun && !con.quiet {
		fmt.Fprintf(con.stderr, "run %s; nixs3 gc undo brings its paths back\n", r.Run)
	}
	return w.Flush()
}

func ageName(a gc.AgeShare) string {
	if a.Within == 0 {
		return "before"
	}
	return "within " + strconv.Itoa(int(a.Within/(24*time.Hour))) + " d"
}

// printOddities prints what deserves the attention of a person.
func printOddities(con *console, r *gc.Report) {
	if con.quiet {
		return
	}
	say := func(what string, items []string) {
		if len(items) == 0 {
			return
		}
		more := ""
		if n := len(items) - shownPaths; n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(con.stderr, "%s: %s%s\n", what, strings.Join(items[:min(len(items), shownPaths)], ", "), more)
	}
	var restored, lost []string
	for _, p := range r.Restored {
		restored = append(restored, p.String())
	}
	for _, l := range r.Lost {
		lost = append(lost, l.Path+" ("+l.Reason+")")
	}
	missing := map[string]bool{}
	for _, m := range r.MissingRoots {
		missing[m.Root] = true
	}
	say("brought back", restored)
	say("could not be brought back", lost)
	say("roots that were removed", r.RootsRemoved)
	say("roots with paths that are not in the cache", slices.Sorted(maps.Keys(missing)))
	say("paths that lack references", r.Dangling)
	say("narinfos that cannot be read", r.Broken)
	if r.Busy {
		fmt.Fprintln(con.stderr, "nothing was swept: a writer at work has leased the whole cache")
	}
}

type gcListCommand struct {
	cacheFlag
	JSON bool `name:"json" help:"Print a JSON object a line."`
}

func (c *gcListCommand) Run(ctx context.Context, con *console) error {
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		for p, err := range gc.Hidden(ctx, cache) {
			if err != nil {
				return err
			}
			if c.JSON {
				err = printJSON(con.stdout, p)
			} else {
				_, err = fmt.Fprintf(con.stdout, "%s  until %s  %s  %s\n", p.Run, p.Until.UTC().Format(time.DateTime), cache.StoreDir().Join(p.Path), size(p.FileBytes))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type gcUndoCommand struct {
	cacheFlag
	JSON bool   `name:"json" help:"Print the report as JSON."`
	Name string `arg:"" name:"run" help:"Run, as gc and gc list print it."`
}

func (c *gcUndoCommand) Run(ctx context.Context, con *console) error {
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		report, err := gc.Undo(ctx, cache, c.Name)
		if c.JSON && report != nil {
			return errors.Join(err, printJSON(con.stdout, report))
		}
		for _, p := range report.Restored {
			if _, perr := fmt.Fprintln(con.stdout, cache.StoreDir().Join(p)); perr != nil {
				return errors.Join(err, perr)
			}
		}
		if err == nil && len(report.Restored) == 0 && len(report.Lost) == 0 && !con.quiet {
			fmt.Fprintf(con.stderr, "all paths of the run %s are visible already\n", c.Name)
		}
		if err == nil && len(report.Lost) > 0 {
			printOddities(con, &gc.Report{Lost: report.Lost})
			err = fmt.Errorf("%d paths could not be brought back", len(report.Lost))
		}
		return err
	})
}
