package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

type copyCommand struct {
	From string `required:"" placeholder:"URL" help:"Binary cache to copy from, or local for the Nix store of this machine (also local?root=/mnt)."`
	To   string `required:"" placeholder:"URL" help:"Binary cache to copy to."`
	selection
	trustFlag
	signFlag
	DryRun    bool `help:"Print the paths that would be copied, and copy nothing."`
	KeepGoing bool `help:"Go on past paths that cannot be copied."`
	Repair    bool `help:"Copy also what is there already."`
}

func (copyCommand) Help() string {
	return "Copies store paths with all that they refer to. What the destination has is not sent, so that an\n" +
		"interrupted copy goes on where it was. Archives stay compressed as they are unless the\n" +
		"destination's URL names a compression.\n\n" +
		"    nixs3 copy --from https://cache.nixos.org --to 's3://cache?region=eu-west-1' \\\n" +
		"        --trusted-public-keys cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY= PATH"
}

func (c *copyCommand) Run(ctx context.Context, con *console) (err error) {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	signers, err := c.signers(ctx)
	if err != nil {
		return err
	}
	from, err := openSource(ctx, con, c.From)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	to, err := openCache(ctx, con, c.To)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()

	var roots []storepath.Path
	if !c.All {
		if roots, err = findPaths(ctx, from.StoreDir(), from.byHash, c.Paths); err != nil {
			return err
		}
	}
	shown := newProgress(con)
	report, err := store.Copy(ctx, to, from.Source, roots, store.CopyOptions{
		All:         c.All,
		DryRun:      c.DryRun,
		KeepGoing:   c.KeepGoing,
		Repair:      c.Repair,
		TrustedKeys: keys,
		Signers:     signers,
		Progress:    shown.show,
	})
	shown.end()
	if c.DryRun {
		return errors.Join(err, printPlan(con, from.StoreDir(), report))
	}
	if c.KeepGoing {
		for _, failed := range report.Failed {
			fmt.Fprintf(con.stderr, "%v\n", failed)
		}
	}
	if report.Paths == 0 && err != nil {
		return err // nothing was found to copy
	}
	fmt.Fprintf(con.stderr, "%d of %d paths copied, %d there already, %s of archives in %s sent, in %v\n",
		report.Copied, report.Paths, report.Present, size(report.NARBytes), size(report.FileBytes),
		report.Elapsed.Round(time.Millisecond))
	return err
}

// printPlan prints what a copy would do.
func printPlan(con *console, dir storepath.Dir, report store.CopyReport) error {
	var nar, file int64
	for _, todo := range report.Todo {
		nar, file = nar+todo.NarSize, file+todo.FileSize
		if _, err := fmt.Fprintln(con.stdout, dir.Join(todo.Path)); err != nil {
			return err
		}
	}
	fmt.Fprintf(con.stderr, "%d of %d paths would be copied: %s of archives in %s, at least %d requests\n",
		len(report.Todo), report.Paths, size(nar), size(file), report.Requests)
	return nil
}
