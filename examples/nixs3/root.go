package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/gc"
)

type rootCommands struct {
	Set    rootSetCommand    `cmd:"" help:"Keep store paths, and all that they refer to, from being collected."`
	List   rootListCommand   `cmd:"" help:"List the roots of a cache."`
	Remove rootRemoveCommand `cmd:"" help:"Remove roots."`
}

// cacheFlag names the cache that a command collects.
type cacheFlag struct {
	Store string `required:"" placeholder:"URL" help:"Binary cache: s3://bucket?…, file:///folder or ./folder."`
}

// durationFlag is a time span: of units of Go, days or weeks.
type durationFlag time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *durationFlag) UnmarshalText(text []byte) error {
	s, unit := string(text), time.Duration(0)
	switch {
	case strings.HasSuffix(s, "d"):
		unit = 24 * time.Hour
	case strings.HasSuffix(s, "w"):
		unit = 7 * 24 * time.Hour
	}
	var span time.Duration
	var err error
	if unit == 0 {
		span, err = time.ParseDuration(s)
	} else if n, nerr := strconv.ParseUint(s[:len(s)-1], 10, 16); nerr != nil {
		err = nerr
	} else {
		span = time.Duration(n) * unit
	}
	if err != nil || span < 0 {
		return fmt.Errorf("%q: expected a duration such as 90m, 36h, 30d or 4w", s)
	}
	*d = durationFlag(span)
	return nil
}

// orNone returns the duration as an option of package gc, in which zero means
// the default.
func (d durationFlag) orNone() time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

type rootSetCommand struct {
	cacheFlag
	Expire durationFlag `placeholder:"TIME" help:"Let the root expire after a time such as 30d."`
	Note   string       `help:"Free text that is listed with the root."`
	From   []string     `type:"existingfile" placeholder:"FILE" sep:"none" help:"Take paths from a file too: one a line, or what nix-store --gc --print-roots prints, compressed or not. May be repeated."`
	Name   string       `arg:"" help:"Name of the root, such as hosts/web1. A root of that name is replaced."`
	Paths  []string     `arg:"" optional:"" name:"path" help:"Store paths: full paths, base names, hash parts, or links such as ./result; - reads them from standard input."`
}

func (rootSetCommand) Help() string {
	return "The paths must be in the cache. Names group by slashes: \"nixs3 gc --keep ci/main=10\" keeps the newest\n" +
		"ten of the roots ci/main/….\n\n" +
		"    nixs3 root set --store 's3://cache?region=eu-west-1' --expire 30d ci/main/1234 ./result"
}

func (c *rootSetCommand) Run(ctx context.Context, con *console) error {
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		paths, err := rootPaths(ctx, con, cache, c.Paths, c.From)
		if err != nil {
			return err
		}
		r := gc.Root{Name: c.Name, Paths: paths, Note: c.Note}
		if c.Expire > 0 {
			r.Expires = time.Now().Add(time.Duration(c.Expire))
		}
		return gc.SetRoot(ctx, cache, r)
	})
}

// withCache runs f with an open cache.
func withCache(ctx context.Context, con *console, url string, f func(*store.Cache) error) (err error) {
	cache, err := openCache(ctx, con, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	return f(cache)
}

// rootPaths returns the paths of arguments, - for those on standard input, and
// of files.
func rootPaths(ctx context.Context, con *console, cache *store.Cache, args, files []string) ([]storepath.Path, error) {
	var paths []storepath.Path
	for _, arg := range args {
		if arg == "-" {
			var read []storepath.Path
			err := interruptible(ctx, func() (err error) {
				read, err = gc.ReadPaths(con.stdin, cache.StoreDir())
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("standard input: %w", err)
			}
			paths = append(paths, read...)
			continue
		}
		found, err := findPaths(ctx, cache.StoreDir(), cacheByHash(cache), []string{arg})
		if err != nil {
			return nil, err
		}
		paths = append(paths, found...)
	}
	for _, name := range files {
		read, err := readPathsFile(name, cache.StoreDir())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		paths = append(paths, read...)
	}
	return paths, nil
}

func readPathsFile(name string, dir storepath.Dir) ([]storepath.Path, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return gc.ReadPaths(f, dir)
}

// rootFlag sets a root on what a command uploads.
type rootFlag struct {
	Root       string       `placeholder:"NAME" help:"Set a root of this name on the paths, before a collector may take them. See nixs3 root."`
	RootExpire durationFlag `placeholder:"TIME" help:"Let the root expire after a time such as 30d."`
}

// set sets the root that was asked for, if one was.
func (f *rootFlag) set(ctx context.Context, cache *store.Cache, paths []storepath.Path) error {
	if f.Root == "" || len(paths) == 0 {
		return nil
	}
	r := gc.Root{Name: f.Root, Paths: paths}
	if f.RootExpire > 0 {
		r.Expires = time.Now().Add(time.Duration(f.RootExpire))
	}
	return gc.SetRoot(ctx, cache, r)
}

type rootListCommand struct {
	cacheFlag
	JSON bool `name:"json" help:"Print a JSON object a line."`
}

func (c *rootListCommand) Run(ctx context.Context, con *console) error {
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', 0)
		var errs []error
		for r, err := range gc.Roots(ctx, cache) {
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if err := c.print(con.stdout, w, cache.StoreDir(), r); err != nil {
				return err
			}
		}
		return errors.Join(append(errs, w.Flush())...)
	})
}

// rootResult is the JSON of a root.
type rootResult struct {
	Name    string    `json:"name"`
	Paths   []string  `json:"paths"`
	Set     time.Time `json:"set,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Note    string    `json:"note,omitempty"`
}

func (c *rootListCommand) print(out, table io.Writer, dir storepath.Dir, r gc.Root) error {
	if c.JSON {
		result := rootResult{Name: r.Name, Set: r.Set.UTC(), Expires: r.Expires, Note: r.Note}
		for _, p := range r.Paths {
			result.Paths = append(result.Paths, dir.Join(p))
		}
		return printJSON(out, result)
	}
	expires := "never"
	if !r.Expires.IsZero() {
		expires = r.Expires.UTC().Format(time.DateTime)
	}
	more := ""
	if len(r.Paths) > 1 {
		more = fmt.Sprintf(" and %d more", len(r.Paths)-1)
	}
	_, err := fmt.Fprintf(table, "%s\tset %s\texpires %s\t%s%s\t%s\n", visible(r.Name), r.Set.UTC().Format(time.DateTime), expires,
		dir.Join(r.Paths[0]), more, visible(r.Note))
	return err
}

type rootRemoveCommand struct {
	cacheFlag
	Names []string `arg:"" name:"name" help:"Names of roots."`
}

func (c *rootRemoveCommand) Run(ctx context.Context, con *console) error {
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		var errs []error
		for _, name := range c.Names {
			errs = append(errs, gc.RemoveRoot(ctx, cache, name))
		}
		return errors.Join(errs...)
	})
}
