package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

type pushCommand struct {
	Queue string `required:"" placeholder:"DIR" help:"Folder to which the hook of \"nixs3 hook\" writes."`
	From  string `default:"auto" placeholder:"URL" help:"Store with the built paths; by default the Nix store of this machine."`
	To    string `required:"" placeholder:"URL" help:"Binary cache to copy to."`
	signFlag
	budgetFlags
	Upstream []string `placeholder:"URL=KEY" sep:"none" help:"Skip paths that this cache serves with a signature by the key. May be repeated."`
	Watch    bool     `help:"Keep waiting for built paths, and retry failed ones. Without this, push ends after it has tried every path once."`
}

func (pushCommand) Help() string {
	return "Copies the closures of all recorded paths together, so that paths common to several builds are sent\n" +
		"once. The record of a build is removed when the cache has its paths, so the next push continues an\n" +
		"interrupted one. Only one push at a time can work on a queue."
}

func (c *pushCommand) Run(ctx context.Context, con *console) (err error) {
	if err := os.MkdirAll(c.Queue, 0o755); err != nil {
		return err
	}
	unlock, err := lockFolder(c.Queue)
	if err != nil {
		return fmt.Errorf("queue %s: %w", c.Queue, err)
	}
	defer unlock()
	opts := store.CopyOptions{KeepGoing: true}
	if opts.Signers, err = c.signers(ctx); err != nil {
		return err
	}
	if opts.Upstreams, err = openUpstreams(ctx, con, c.Upstream); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeUpstreams(opts.Upstreams)) }()
	failures := 0
	for {
		err := c.once(ctx, con, opts)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !c.Watch:
			return err
		case err != nil:
			failures++
			con.logger.Error("pushing failed, trying again", "error", err)
		default:
			failures = 0
		}
		select {
		case <-time.After(pushDelay(failures)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pushDelay is the time to the next look at the queue, longer after failures.
func pushDelay(failures int) time.Duration {
	return min(time.Second<<min(failures, 10), 5*time.Minute)
}

// once copies the noted paths and removes the notes whose paths the cache has.
func (c *pushCommand) once(ctx context.Context, con *console, opts store.CopyOptions) (err error) {
	notes, err := readNotes(c.Queue)
	if err != nil || len(notes) == 0 {
		return err
	}
	from, err := openSource(ctx, con, c.From, c.budget())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	roots, err := c.roots(ctx, con, from, notes)
	if err != nil {
		return err
	}
	failed := map[storepath.Path]bool{}
	if len(roots) > 0 {
		to, err := openCache(ctx, con, c.To, c.budget())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, to.Close()) }()
		shown := newProgress(con)
		opts.Progress = shown.show
		report, err := store.Copy(ctx, to, from.Source, roots, opts)
		shown.end()
		if len(report.Failed) == 0 && err != nil {
			return err
		}
		for _, f := range report.Failed {
			failed[f.Path] = true
			con.logger.Error("not pushed", "error", f)
		}
		if !con.quiet {
			fmt.Fprintf(con.stderr, "%d of %d paths copied, %d there already\n", report.Copied, report.Paths, report.Present)
		}
	}
	return settle(notes, failed)
}

// settle removes the notes without a failed path, and returns an error for each
// other note.
func settle(notes []note, failed map[storepath.Path]bool) error {
	var errs []error
	for _, n := range notes {
		if slices.ContainsFunc(n.paths, func(p storepath.Path) bool { return failed[p] }) {
			errs = append(errs, fmt.Errorf("%s: not all of its paths are in the cache yet", n.file))
			continue
		}
		errs = append(errs, os.Remove(n.file))
	}
	return errors.Join(errs...)
}

// roots returns the noted paths, each once, and sets the paths of the notes. It
// leaves out paths that the store no longer has, with a warning.
func (c *pushCommand) roots(ctx context.Context, con *console, from *opened, notes []note) ([]storepath.Path, error) {
	var roots []storepath.Path
	seen := map[storepath.Path]bool{}
	for i, n := range notes {
		paths, err := n.read(ctx, con, from)
		if err != nil {
			return nil, err
		}
		notes[i].paths = paths
		for _, p := range paths {
			if seen[p] {
				continue
			}
			seen[p] = true
			switch _, err := from.PathInfo(ctx, p); {
			case errors.Is(err, store.ErrNotFound):
				con.logger.Warn("the store has lost a path before it was pushed", "path", from.StoreDir().Join(p))
			case err != nil:
				return nil, err
			default:
				roots = append(roots, p)
			}
		}
	}
	return roots, nil
}

// note is the record of a build.
type note struct {
	file  string
	lines []string         // store paths, or PATH.drv^*
	paths []storepath.Path // that the lines mean
}

// read returns the paths of the lines. It skips lines that cannot become valid,
// with a warning.
func (n note) read(ctx context.Context, con *console, from *opened) (paths []storepath.Path, err error) {
	for _, line := range n.lines {
		found, isOutput, err := from.outputs(ctx, line)
		if !isOutput {
			found = make([]storepath.Path, 1)
			found[0], err = from.StoreDir().Parse(line)
		}
		switch {
		case err == nil:
			paths = append(paths, found...)
		case isOutput && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, errNoOutputs):
			return nil, err
		default:
			con.logger.Warn("ignoring a line of a note", "note", n.file, "error", err)
		}
	}
	return paths, nil
}

const noteSuffix = ".paths"

// readNotes reads the complete notes of a queue, the oldest first.
func readNotes(queue string) ([]note, error) {
	entries, err := os.ReadDir(queue) // sorted by name, which begins with the time
	if err != nil {
		return nil, err
	}
	var notes []note
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !strings.HasSuffix(entry.Name(), noteSuffix) || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		file := filepath.Join(queue, entry.Name())
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		notes = append(notes, note{file: file, lines: strings.Fields(string(text))})
	}
	return notes, nil
}
