package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/verify"
)

type signCommand struct {
	storeFlag
	selection
	Key        []string `placeholder:"KEYFILE" sep:"none" type:"path" help:"File with a secret key to sign with. May be repeated."`
	RemoveKey  []string `placeholder:"NAME" sep:"none" help:"Drop the signatures of a retired key. May be repeated."`
	IfSignedBy []string `placeholder:"KEY" sep:" " help:"Change only paths that one of these public keys has signed, so that signing vouches for nothing unseen."`
	DryRun     bool     `help:"Report what would be done, and change nothing."`
	purgeFlag
	jsonFlag
}

func (signCommand) Help() string {
	return "Adds signatures to paths of a cache, many at a time. Signatures of others who sign the same paths\n" +
		"at the same time are not lost.\n\n" +
		"    nixs3 sign --store s3://cache --all --key new.sec --if-signed-by \"$(cat old.pub)\" --remove-key old-1"
}

// Validate is called by kong.
func (c *signCommand) Validate() error {
	if len(c.Key)+len(c.RemoveKey) == 0 {
		return errors.New("expected --key or --remove-key")
	}
	return c.selection.Validate()
}

func (c *signCommand) Run(ctx context.Context, con *console) (err error) {
	signers, err := signFlag{c.Key}.signers(ctx)
	if err != nil {
		return err
	}
	known, err := narinfo.ParseTrustedKeys(strings.Join(c.IfSignedBy, " "))
	if err != nil {
		return err
	}
	cache, err := openCache(ctx, con, c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	paths, err := c.find(ctx, con, &opened{Source: cache, byHash: cacheByHash(cache)})
	if err != nil {
		return err
	}
	report, err := verify.Sign(ctx, cache, paths, verify.SignOptions{
		All:        c.All,
		Signers:    signers,
		RemoveKeys: c.RemoveKey,
		IfSignedBy: known,
		DryRun:     c.DryRun,
		Progress:   newCounter(con, "paths"),
	})
	if c.JSON {
		return errors.Join(err, printJSON(con.stdout, newReportResult(cache.StoreDir(), report)))
	}
	printProblems(con, report)
	did := "signed"
	if c.DryRun {
		did = "to be signed"
	}
	con.say("%d paths %s, %d unchanged, %d skipped, in %v", report.Changed, did, report.Unchanged, len(report.Skipped), report.Elapsed.Round(time.Millisecond))
	return errors.Join(err, c.purge(con, report))
}

// say prints a line about what was done, unless only results are wanted.
func (con *console) say(format string, args ...any) {
	if !con.quiet {
		fmt.Fprintf(con.stderr, format+"\n", args...)
	}
}

// printProblems prints what a report says was left out or failed.
func printProblems(con *console, report *verify.Report) {
	for _, p := range report.Skipped {
		con.say("skipped %v", p)
	}
	for _, p := range report.Failed {
		fmt.Fprintln(con.stderr, "failed:", explained(p))
	}
	if report.HiddenBy != "" {
		con.say("%d paths hidden, by run %s", len(report.Hidden), report.HiddenBy)
	}
}

// purgeFlag makes a command print what a CDN may have as it was.
type purgeFlag struct {
	Purge string `placeholder:"URL" xor:"output" help:"Print the URLs of the objects that have changed, below this URL of a CDN, one a line."`
}

func (f purgeFlag) purge(con *console, report *verify.Report) error {
	if f.Purge == "" {
		return nil
	}
	for _, key := range report.Keys {
		if _, err := fmt.Fprintln(con.stdout, strings.TrimSuffix(f.Purge, "/")+"/"+(&url.URL{Path: key}).EscapedPath()); err != nil {
			return err
		}
	}
	return nil
}
