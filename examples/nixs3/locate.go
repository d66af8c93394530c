package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"example.com/nixs3/nar"
	"example.com/nixs3/store"
	"example.com/nixs3/store/locate"
)

type locateCommand struct {
	Store   string `placeholder:"URL" xor:"index" required:"" help:"Binary cache that has an index of its files: s3://bucket?…, https://host, file:///folder or ./folder."`
	File    string `placeholder:"FILE" xor:"index" required:"" help:"Index in a local file, made by nixs3 index --file."`
	JSON    bool   `name:"json" help:"Print a JSON object a line."`
	Pattern string `arg:"" help:"Name of a file, or with a slash its path in the store path. May have the wildcards *, ? and [a-z], which match no slash."`
}

func (locateCommand) Help() string {
	return "Prints the files of all store paths of a cache that PATTERN selects, from the index that \"nixs3 index\"\n" +
		"makes. The exit status is 1 if there are none.\n\n" +
		"    nixs3 locate --store https://cache.example.org bin/hello\n" +
		"    nixs3 locate --file files.index 'libssl.so*'"
}

// located is a file that was found, as JSON.
type located struct {
	Path       string `json:"path"`
	File       string `json:"file"`
	Type       string `json:"type"`
	Size       int64  `json:"size"`
	Executable bool   `json:"executable,omitempty"`
	Target     string `json:"target,omitempty"`
}

func (c *locateCommand) Run(ctx context.Context, con *console) error {
	pattern, err := locate.ParsePattern(c.Pattern)
	if err != nil {
		return err
	}
	if c.File != "" {
		index, err := locate.OpenFile(c.File)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no index %s; nixs3 index --file makes one", c.File)
		}
		if err != nil {
			return err
		}
		return errors.Join(c.find(ctx, con, index, pattern), index.Close())
	}
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		index, err := locate.Open(ctx, cache)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%s has no index of its files; nixs3 index makes one", cache)
		}
		if err != nil {
			return err
		}
		return errors.Join(c.find(ctx, con, index, pattern), index.Close())
	})
}

func (c *locateCommand) find(ctx context.Context, con *console, index *locate.Index, pattern locate.Pattern) error {
	w := bufio.NewWriter(con.stdout)
	found := false
	for m, err := range index.Find(pattern) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return errors.Join(w.Flush(), err)
		}
		found = true
		if err := c.print(w, index.StoreDir().Join(m.Path), m); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("no path has a file %s", c.Pattern)
	}
	return w.Flush()
}

func (c *locateCommand) print(w *bufio.Writer, full string, m locate.Match) error {
	if c.JSON {
		return printJSON(w, located{full, m.File, m.Type.String(), m.Size, m.Executable, m.LinkTarget})
	}
	line := visible(full + "/" + m.File)
	if m.Type == nar.TypeSymlink {
		line += " -> " + visible(m.LinkTarget)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}
