package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
)

type pathInfoCommand struct {
	storeFlag
	selection
	JSON       bool   `name:"json" help:"Print all that is known, as JSON."`
	JSONFormat string `name:"json-format" enum:"array,1,2,3" default:"1" help:"Version of Nix's JSON: 1, 2, 3, or array for that of Nix up to 2.18 and Lix."`
}

func (pathInfoCommand) Help() string {
	return "Prints the full store paths, one a line, or what \"nix path-info --json\" prints of them,\n" +
		"with that also of full paths that the cache does not have."
}

func (c *pathInfoCommand) Run(ctx context.Context, con *console) (err error) {
	cache, err := openCache(ctx, con, c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	infos, err := c.infos(ctx, cache)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(con.stdout)
	if c.JSON {
		err = c.printJSON(w, infos)
	} else {
		for _, info := range infos {
			fmt.Fprintln(w, info.StoreDir.Join(info.Path))
		}
	}
	return errors.Join(err, w.Flush())
}

// infos returns what was asked for, each once: all in the order of the paths,
// else in the order of the arguments.
func (c *pathInfoCommand) infos(ctx context.Context, cache store.BinaryCacheStore) ([]*narinfo.NarInfo, error) {
	var infos []*narinfo.NarInfo
	if c.All {
		for info, err := range cache.NarInfos(ctx) {
			if err != nil {
				return nil, err
			}
			infos = append(infos, info)
		}
		slices.SortFunc(infos, func(a, b *narinfo.NarInfo) int { return a.Path.Compare(b.Path) })
		return infos, nil
	}
	paths, err := findPaths(ctx, cache.StoreDir(), cacheByHash(cache), c.Paths)
	if err != nil {
		return nil, err
	}
	for i, p := range paths {
		if slices.Contains(paths[:i], p) {
			continue
		}
		info, err := cache.NarInfo(ctx, p)
		if c.JSON && errors.Is(err, store.ErrNotFound) {
			// As Nix prints it: a path that is not valid.
			info, err = &narinfo.NarInfo{PathInfo: narinfo.PathInfo{StoreDir: cache.StoreDir(), Path: p}}, nil
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

var jsonFormats = map[string]narinfo.JSONFormat{
	"array": narinfo.JSONArray,
	"1":     narinfo.JSONFormat1,
	"2":     narinfo.JSONFormat2,
	"3":     narinfo.JSONFormat3,
}

func (c *pathInfoCommand) printJSON(w io.Writer, infos []*narinfo.NarInfo) error {
	records := make([]*narinfo.Record, len(infos))
	for i, info := range infos {
		records[i] = &narinfo.Record{NarInfo: *info}
	}
	text, err := narinfo.AppendRecords(nil, jsonFormats[c.JSONFormat], records...)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
