package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

type copyCommand struct {
	From string `default:"auto" placeholder:"URL" help:"Binary cache to copy from, or local for the Nix store of this machine (also local?root=/mnt). The default is the local store that NIX_REMOTE names."`
	To   string `required:"" placeholder:"URL" help:"Binary cache to copy to."`
	selection
	trustFlag
	signFlag
	budgetFlags
	Derivation       bool     `help:"Copy the derivations that built the paths, with their closures, instead of the paths."`
	NoClosure        bool     `help:"Copy only the paths themselves. The destination must have their references."`
	TrustDestination bool     `help:"Assume that the destination has the closures of the paths it has. Without this, missing references are detected and copied."`
	Upstream         []string `placeholder:"URL=KEY" sep:"none" help:"Skip paths that this cache serves with a signature by the key. Several keys are separated by commas. May be repeated."`
	Verify           string   `enum:"contents,files,none" default:"contents" help:"What to check of an archive: its contents, only the hash of its file, or nothing if a server can copy it by itself."`
	Logs             bool     `help:"Also copy the build logs of the paths' derivers."`
	DryRun           bool     `help:"Print the paths that would be copied, and copy nothing."`
	KeepGoing        bool     `help:"Continue after paths that cannot be copied."`
	Repair           bool     `help:"Also copy paths that the destination has."`
	rootFlag
	JSON bool `name:"json" help:"Print the report as JSON."`
}

func (copyCommand) Help() string {
	return "Copies store paths with their closures. Paths that the destination has are not sent, so an\n" +
		"interrupted copy continues where it stopped. Archives keep their compression unless the\n" +
		"destination's URL names one.\n\n" +
		"    nixs3 copy --to 's3://cache?region=eu-west-1' ./result\n" +
		"    nixs3 copy --from https://cache.nixos.org --to ./cache \\\n" +
		"        --trusted-public-keys cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY= PATH"
}

func (c *copyCommand) Run(ctx context.Context, con *console) (err error) {
	opts, err := c.options(ctx, con)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeUpstreams(opts.Upstreams)) }()
	switch {
	case c.Root != "" && c.All:
		return errors.New("--root: expected store paths, got --all")
	case c.Derivation && c.All:
		return errors.New("--derivation: expected store paths, got --all")
	}
	from, err := openSource(ctx, con, c.From, c.budget())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	roots, err := c.find(ctx, con, from)
	if err != nil {
		return err
	}
	if c.Derivation {
		if roots, err = derivers(ctx, from, roots); err != nil {
			return err
		}
	}
	if len(roots) == 0 && !c.All {
		return c.report(con, from.StoreDir(), store.CopyReport{}, nil)
	}
	to, err := openCache(ctx, con, c.To, c.budget())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()

	opts.Keep = func(ctx context.Context) error { return c.set(ctx, to, roots) }
	shown := newProgress(con)
	opts.Progress = shown.show
	report, err := store.Copy(ctx, to, from.Source, roots, opts)
	shown.end()
	return c.report(con, from.StoreDir(), report, err)
}

func (c *copyCommand) options(ctx context.Context, con *console) (opts store.CopyOptions, err error) {
	opts = store.CopyOptions{All: c.All, NoClosure: c.NoClosure, TrustDestination: c.TrustDestination, DryRun: c.DryRun, KeepGoing: c.KeepGoing, Repair: c.Repair, Logs: c.Logs}
	switch c.Verify {
	case "files":
		opts.Verify = store.VerifyFiles
	case "none":
		opts.Verify = store.VerifyNothing
	}
	if opts.TrustedKeys, err = c.keys(); err != nil {
		return opts, err
	}
	if opts.Signers, err = c.signers(ctx); err != nil {
		return opts, err
	}
	opts.Upstreams, err = openUpstreams(ctx, con, c.Upstream)
	return opts, err
}

// copyResult is the JSON of a copy.
type copyResult struct {
	Paths    int         `json:"paths"`
	Present  int         `json:"present"`
	Upstream int         `json:"upstream"`
	Copied   int         `json:"copied"`
	Failed   []failure   `json:"failed,omitempty"`
	Todo     []plannedIn `json:"todo,omitempty"`
	Signed   int         `json:"signed,omitempty"`

	Realisations int `json:"realisations,omitempty"`
	Logs         int `json:"logs,omitempty"`

	NARBytes     int64 `json:"narBytes"`
	FileBytes    int64 `json:"fileBytes"`
	BytesWritten int64 `json:"bytesWritten"`

	Requests int     `json:"requests,omitempty"`
	Seconds  float64 `json:"seconds"`
}

type failure struct {
	Path  string `json:"path,omitempty"`
	Error string `json:"error"`
}

type plannedIn struct {
	Path     string `json:"path"`
	NARSize  int64  `json:"narSize"`
	FileSize int64  `json:"fileSize,omitempty"`
}

func (c *copyCommand) report(con *console, dir storepath.Dir, report store.CopyReport, err error) error {
	switch {
	case c.JSON:
		return errors.Join(err, printJSON(con.stdout, c.result(dir, report)))
	case c.DryRun:
		return errors.Join(err, printPlan(con, dir, report))
	case report.Paths == 0 && err != nil:
		return err // there was nothing to copy
	case con.quiet:
		return err
	case report.Paths == 0:
		fmt.Fprintln(con.stderr, "nothing to copy")
		if os.Getenv("DRV_PATH") != "" {
			fmt.Fprintln(con.stderr, `in a post-build hook, Nix 2.8.0 leaves OUT_PATHS empty: give "$DRV_PATH^*" instead, or use "nixs3 hook"`)
		}
		return err
	}
	if c.KeepGoing {
		for _, failed := range report.Failed[min(1, len(report.Failed)):] {
			fmt.Fprintln(con.stderr, explained(failed)) // the first is in err
		}
	}
	fmt.Fprintf(con.stderr, "%d of %d paths copied, %d there already%s: %s of archives, %s read, %s written, in %v\n",
		report.Copied, report.Paths, report.Present, companions(report), size(report.NARBytes), size(report.FileBytes),
		size(report.BytesWritten), report.Elapsed.Round(time.Millisecond))
	if report.Unlisted {
		con.logger.Warn("the source cannot list its realisations, so none were copied; users of the destination will rebuild content-addressed derivations")
	}
	if report.Untrusted > 0 {
		con.logger.Warn("realisations without a trusted signature were not copied", "number", report.Untrusted)
	}
	return err
}

// companions names what a copy did besides copying paths.
func companions(r store.CopyReport) string {
	text := ""
	for _, c := range []struct {
		n    int
		what string
	}{{r.Upstream, "served by an upstream"}, {r.Signed, "of them signed"}, {r.Realisations, "realisations"}, {r.Logs, "logs"}} {
		switch c.n {
		case 0:
		case 1:
			text += ", 1 " + strings.TrimSuffix(c.what, "s")
		default:
			text += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	return text
}

func (c *copyCommand) result(dir storepath.Dir, r store.CopyReport) copyResult {
	out := copyResult{
		Paths: r.Paths, Present: r.Present, Upstream: r.Upstream, Copied: r.Copied,
		Signed: r.Signed, Realisations: r.Realisations, Logs: r.Logs,
		NARBytes: r.NARBytes, FileBytes: r.FileBytes, BytesWritten: r.BytesWritten, Seconds: r.Elapsed.Seconds(),
	}
	for _, f := range r.Failed {
		failed := failure{Error: f.Err.Error()}
		if !f.Path.IsZero() {
			failed.Path = dir.Join(f.Path)
		}
		out.Failed = append(out.Failed, failed)
	}
	if c.DryRun {
		out.Requests = r.Requests
		for _, todo := range r.Todo {
			out.Todo = append(out.Todo, plannedIn{dir.Join(todo.Path), todo.NarSize, todo.FileSize})
		}
	}
	return out
}

// printPlan prints what a copy would do.
func printPlan(con *console, dir storepath.Dir, report store.CopyReport) error {
	var nar int64
	for _, todo := range report.Todo {
		nar += todo.NarSize
		if _, err := fmt.Fprintln(con.stdout, dir.Join(todo.Path)); err != nil {
			return err
		}
	}
	if !con.quiet {
		fmt.Fprintf(con.stderr, "%d of %d paths would be copied: %s of archives, at least %d requests\n",
			len(report.Todo), report.Paths, size(nar), report.Requests)
	}
	return nil
}
