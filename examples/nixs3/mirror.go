package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/verify"
)

type mirrorCommand struct {
	From string `required:"" placeholder:"URL" help:"Cache to copy from."`
	To   string `required:"" placeholder:"URL" help:"Cache to copy to."`
	trustFlag
	signFlag
	Bandwidth bandwidthFlag `placeholder:"RATE" help:"Read at most so many bytes a second, such as 10M."`
	Watch     time.Duration `placeholder:"TIME" help:"Begin again when so much time has passed after a run, until interrupted. A run that fails is reported and the next one goes on."`
	Hide      bool          `help:"Make invisible at the destination what the source does not have any more. nixs3 gc undo brings it back."`
	DryRun    bool          `help:"Report what would be copied, and copy nothing."`
	Paths     []string      `arg:"" optional:"" name:"path" help:"Store paths whose closures are mirrored. Without any, the whole cache is, and what it does not have any more is printed."`
	purgeFlag
	jsonFlag
}

func (mirrorCommand) Help() string {
	return "Copies paths with their listings, links to debug files, logs and realisations, and adds the signatures\n" +
		"that paths were given at the source later. Nothing else at the destination is replaced, and nothing is\n" +
		"removed. A mirror that was interrupted goes on where it was.\n\n" +
		"    nixs3 mirror --from s3://cache --to file:///mnt/backup --bandwidth 20M --watch 15m"
}

// Validate is called by kong.
func (c *mirrorCommand) Validate() error {
	if c.Watch < 0 || c.Watch > 0 && c.DryRun {
		return errors.New("--watch: expected a positive time, and no --dry-run")
	}
	return nil
}

func (c *mirrorCommand) Run(ctx context.Context, con *console) (err error) {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	signers, err := c.signers(ctx)
	if err != nil {
		return err
	}
	from, err := openCache(ctx, con, c.From)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := openCache(ctx, con, c.To)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	roots, err := findPaths(ctx, from.StoreDir(), cacheByHash(from), c.Paths)
	if err != nil {
		return err
	}
	opts := verify.MirrorOptions{Roots: roots, TrustedKeys: keys, Signers: signers, BytesPerSecond: int64(c.Bandwidth), HideRemoved: c.Hide, DryRun: c.DryRun}
	for {
		err := c.once(ctx, con, to, from, opts)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if c.Watch == 0 {
			return err
		}
		if err != nil {
			fmt.Fprintf(con.stderr, "nixs3: %v\n", explained(err))
		}
		select {
		case <-time.After(c.Watch):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// once mirrors, and prints what the source does not have any more.
func (c *mirrorCommand) once(ctx context.Context, con *console, to, from *store.Cache, opts verify.MirrorOptions) error {
	shown := newProgress(con)
	opts.Progress = shown.show
	report, err := verify.Mirror(ctx, to, from, opts)
	shown.end()
	if c.JSON {
		return errors.Join(err, printJSON(con.stdout, newReportResult(from.StoreDir(), report)))
	}
	printProblems(con, report)
	did := "copied"
	if c.DryRun {
		did = "to be copied"
	}
	signed := ""
	if report.Signed > 0 {
		signed = fmt.Sprintf(" and %d with further signatures", report.Signed)
	}
	con.say("%d paths %s, %d there already%s, %d removed at the source, %s read, in %v", report.Changed-report.Signed, did, report.Unchanged,
		signed, len(report.Removed), size(report.Bytes), report.Elapsed.Round(time.Millisecond))
	return errors.Join(err, printRemoved(con, from.StoreDir(), report), c.purge(con, report))
}

func printRemoved(con *console, dir storepath.Dir, report *verify.Report) error {
	for _, p := range report.Removed {
		if _, err := fmt.Fprintf(con.stdout, "removed %s\n", dir.Join(p)); err != nil {
			return err
		}
	}
	return nil
}

// bandwidthFlag is a number of bytes, with K, M or G for the powers of 1024.
type bandwidthFlag int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *bandwidthFlag) UnmarshalText(text []byte) error {
	number, shift := string(text), 0
	for i, unit := range []string{"K", "M", "G"} {
		if n, ok := strings.CutSuffix(number, unit); ok {
			number, shift = n, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > 1<<53>>shift {
		return fmt.Errorf("%q: expected a number of bytes a second, such as 500K or 10M", text)
	}
	*b = bandwidthFlag(n << shift)
	return nil
}
