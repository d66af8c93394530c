package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

type pathInfoCommand struct {
	storeFlag
	selection
	Recursive     bool   `short:"r" help:"Also print the closures of the paths."`
	Size          bool   `short:"s" help:"Print the size of the NAR."`
	ClosureSize   bool   `short:"S" help:"Print the size of the NARs of the closure."`
	HumanReadable bool   `short:"h" help:"Print sizes with a unit."`
	Sigs          bool   `help:"Print the signatures."`
	JSON          bool   `name:"json" help:"Print all fields as JSON."`
	JSONFormat    string `name:"json-format" enum:"array,1,2,3" default:"1" help:"Version of Nix's JSON: 1, 2, 3, or array, the format of Nix up to 2.18 and Lix."`
}

func (pathInfoCommand) Help() string {
	return "Prints the full store paths, one a line, or with --json the output of \"nix path-info --json\",\n" +
		"which includes full paths that the store does not have."
}

func (c *pathInfoCommand) Run(ctx context.Context, con *console) (err error) {
	from, err := openSource(ctx, con, c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	infos, err := c.infos(ctx, con, from)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(con.stdout)
	if c.JSON {
		err = printRecords(w, c.JSONFormat, infos...)
	} else {
		err = c.printLines(ctx, w, from, infos)
	}
	return errors.Join(err, w.Flush())
}

// infos returns the selected records, each once: with --all sorted by path, else
// in the order of the arguments, followed by their closures.
func (c *pathInfoCommand) infos(ctx context.Context, con *console, from *opened) ([]*narinfo.NarInfo, error) {
	if c.All {
		infos, err := allInfos(ctx, from)
		slices.SortFunc(infos, func(a, b *narinfo.NarInfo) int { return a.Path.Compare(b.Path) })
		return infos, err
	}
	paths, err := c.find(ctx, con, from)
	if err != nil {
		return nil, err
	}
	var infos []*narinfo.NarInfo
	seen := map[storepath.Path]bool{}
	for len(paths) > 0 {
		p := paths[0]
		paths = paths[1:]
		if seen[p] {
			continue
		}
		seen[p] = true
		info, err := from.narInfo(ctx, p)
		if c.JSON && errors.Is(err, store.ErrNotFound) {
			// Nix prints such a path as invalid.
			info, err = &narinfo.NarInfo{PathInfo: narinfo.PathInfo{StoreDir: from.StoreDir(), Path: p}}, nil
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
		if c.Recursive {
			paths = append(paths, info.References...)
		}
	}
	return infos, nil
}

func allInfos(ctx context.Context, from *opened) ([]*narinfo.NarInfo, error) {
	var infos []*narinfo.NarInfo
	if from.cache != nil {
		for info, err := range from.cache.NarInfos(ctx) {
			if err != nil {
				return nil, err
			}
			infos = append(infos, info)
		}
		return infos, nil
	}
	for p, err := range from.AllPaths(ctx) {
		if err != nil {
			return nil, err
		}
		info, err := from.narInfo(ctx, p)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// narInfo returns a store's record of a path. That of a local store has no
// fields about an archive.
func (o *opened) narInfo(ctx context.Context, p storepath.Path) (*narinfo.NarInfo, error) {
	if o.cache != nil {
		return o.cache.NarInfo(ctx, p)
	}
	info, err := o.PathInfo(ctx, p)
	if err != nil {
		return nil, err
	}
	return &narinfo.NarInfo{PathInfo: *info}, nil
}

// printLines prints a line for each path, in the columns of "nix path-info".
func (c *pathInfoCommand) printLines(ctx context.Context, w io.Writer, from *opened, infos []*narinfo.NarInfo) error {
	for _, info := range infos {
		line := info.StoreDir.Join(info.Path)
		if c.Size || c.ClosureSize || c.Sigs {
			line = fmt.Sprintf("%-80s", line)
		}
		if c.Size {
			line += c.column(info.NarSize)
		}
		if c.ClosureSize {
			total, err := closureSize(ctx, from, info.Path)
			if err != nil {
				return err
			}
			line += c.column(total)
		}
		if c.Sigs {
			for _, s := range info.Signatures {
				line += "\t" + s.String()
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func (c *pathInfoCommand) column(n int64) string {
	if c.HumanReadable {
		return fmt.Sprintf("\t%11s", size(n))
	}
	return fmt.Sprintf("\t%11d", n)
}

var jsonFormats = map[string]narinfo.JSONFormat{
	"array": 0,
	"1":     1,
	"2":     2,
	"3":     3,
}

func printRecords(w io.Writer, format string, infos ...*narinfo.NarInfo) error {
	records := make([]*narinfo.Record, len(infos))
	for i, info := range infos {
		records[i] = &narinfo.Record{NarInfo: *info}
	}
	text, err := narinfo.AppendRecords(nil, jsonFormats[format], records...)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
