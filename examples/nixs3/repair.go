package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"example.com/nixs3/store"
	"example.com/nixs3/store/verify"
)

type repairCommand struct {
	storeFlag
	trustFlag
	From     []string     `required:"" placeholder:"URL" sep:"none" help:"Cache to take paths from, or local for the Nix store of this machine. May be repeated; the first that has a path is taken."`
	Depth    verify.Depth `default:"contents" placeholder:"DEPTH" help:"How deep to look for faults: listing, metadata, files or contents."`
	Findings string       `placeholder:"FILE" help:"Mend the findings that nixs3 verify --json has printed to a file, - for standard input, and do not look for others."`
	Search   bool         `help:"Look for the paths of orphaned archives among all paths of the caches that are taken from."`
	Hide     bool         `help:"Make invisible what cannot be mended, with all that refers to it. nixs3 gc undo brings it back."`
	Remove   bool         `help:"Remove what no reader needs: listings and links that lead nowhere, false orphans, unfinished uploads."`
	DryRun   bool         `help:"Report what could be mended, and change nothing."`
	Paths    []string     `arg:"" optional:"" name:"path" help:"Store paths whose closures are mended. Without any, the whole cache is."`
	purgeFlag
	jsonFlag
}

func (repairCommand) Help() string {
	return "Takes what is broken or missing from other caches, verified like every upload, and only with the\n" +
		"NarHash that the cache still has, or else signed by a trusted key.\n\n" +
		"    nixs3 repair --store s3://cache --from https://cache.nixos.org --from local \\\n" +
		"        --trusted-public-keys \"$(cat cache.pub)\" --purge https://cdn.example.org"
}

func (c *repairCommand) Run(ctx context.Context, con *console) (err error) {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	cache, err := openCache(ctx, con, c.Store, store.WithDamaged())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	var from []store.Source
	for _, url := range c.From {
		source, err := openSource(ctx, con, url)
		if err != nil {
			return err
		}
		defer source.Close()
		from = append(from, source.Source)
	}
	var findings []verify.Finding
	if c.Findings != "" {
		findings, err = c.read(con)
	} else {
		findings, err = c.look(ctx, con, cache, verify.Options{Depth: c.Depth, TrustedKeys: keys})
	}
	if err != nil {
		return err
	}
	con.say("%d findings", len(findings))
	report, err := verify.Repair(ctx, cache, slices.Values(findings), verify.RepairOptions{
		From:        from,
		TrustedKeys: keys,
		Search:      c.Search,
		Hide:        c.Hide,
		Remove:      c.Remove,
		DryRun:      c.DryRun,
		Progress:    newCounter(con, "mended"),
	})
	if c.JSON {
		return errors.Join(err, printJSON(con.stdout, newReportResult(cache.StoreDir(), report)))
	}
	printProblems(con, report)
	did := "mended"
	if c.DryRun {
		did = "to be mended"
	}
	con.say("%d of %d paths and objects %s, %s fetched, in %v", report.Changed, report.Paths, did, size(report.Bytes), report.Elapsed.Round(time.Millisecond))
	return errors.Join(err, c.purge(con, report))
}

// look gathers what Check finds. What could not be examined is left alone.
func (c *repairCommand) look(ctx context.Context, con *console, cache *store.Cache, opts verify.Options) (findings []verify.Finding, err error) {
	if opts.Roots, err = findPaths(ctx, cache.StoreDir(), cacheByHash(cache), c.Paths); err != nil {
		return nil, err
	}
	shown := newCheckProgress(con)
	defer shown.end()
	opts.Progress = shown.show
	for f, err := range verify.Check(ctx, cache, opts) {
		if one, ok := errors.AsType[*verify.UncheckedError](err); ok {
			fmt.Fprintf(con.stderr, "%v\n", one)
			continue
		}
		if err != nil {
			return nil, err
		}
		findings = append(findings, f)
	}
	return findings, nil
}

// maxFinding bounds a line of findings in bytes.
const maxFinding = 1 << 20

// read reads the lines of nixs3 verify --json.
func (c *repairCommand) read(con *console) ([]verify.Finding, error) {
	in := con.stdin
	if c.Findings != "-" {
		f, err := os.Open(c.Findings)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return parseFindings(in)
}

func parseFindings(r io.Reader) ([]verify.Finding, error) {
	var findings []verify.Finding
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxFinding)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var f verify.Finding
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return nil, fmt.Errorf("finding in line %d: %w", n, err)
		}
		if !f.Kind.Known() {
			return nil, fmt.Errorf("finding in line %d: unknown kind %q", n, f.Kind)
		}
		findings = append(findings, f)
	}
	return findings, lines.Err()
}
