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
	Queue string `required:"" placeholder:"DIR" help:"Folder that the hook of \"nixs3 hook\" writes to."`
	From  string `default:"auto" placeholder:"URL" help:"Store with the built paths; the Nix store of this machine by default."`
	To    string `required:"" placeholder:"URL" help:"Binary cache to copy to."`
	signFlag
	budgetFlags
	Upstream []string `placeholder:"URL=KEY" sep:"none" help:"Leave out what this cache serves with a signature by the key. May be repeated."`
	Watch    bool     `help:"Go on waiting for what is built, and repeat what failed. Without it, push ends when it has tried everything once."`
}

func (pushCommand) Help() string {
	return "Copies the closures of all noted paths in one go, so that what several builds have in common is sent\n" +
		"once. A note is removed when its paths are in the cache; what an interruption leaves is done the next\n" +
		"time. One push at a time works on a queue."
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

// once copies what is noted and removes the notes whose paths are in the cache.
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

// settle removes the notes none of whose paths failed. A failure is an error.
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

// roots returns the noted paths, each once, and puts them into their notes. One
// that the store no longer has cannot be pushed any more.
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

// note is what one build has left to push.
type note struct {
	file  string
	lines []string         // store paths, or PATH.drv^*
	paths []storepath.Path // that the lines mean
}

// read returns the paths that the lines mean. It leaves out lines that mean
// nothing, and never will.
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
