package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/nixs3/store"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/locate"
)

type indexCommand struct {
	cacheFlag
	Archives bool   `help:"Also index paths without a listing. Their archives are fetched."`
	File     string `placeholder:"FILE" help:"Keep the index in a local file instead of in the cache."`
	JSON     bool   `name:"json" help:"Print the report as JSON."`
}

func (indexCommand) Help() string {
	return "Makes the index of files that \"nixs3 locate\" reads, or renews it: only the listings of new paths are\n" +
		"read. Listings are there if the cache is written with write-nar-listing=true.\n\n" +
		"    nixs3 index --store s3://cache\n" +
		"    nixs3 index --store https://cache.example.org --file files.index"
}

// indexReport is the report of locate.Update for people and as JSON.
type indexReport struct {
	Index    string   `json:"index"` // key of the cache, or file
	Paths    int      `json:"paths"`
	Added    int      `json:"added"`
	Dropped  int      `json:"dropped"`
	Unlisted int      `json:"unlisted"`
	Failed   []string `json:"failed"`
	Bytes    int64    `json:"bytes"`
}

func (c *indexCommand) Run(ctx context.Context, con *console) error {
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		report, err := locate.Update(ctx, cache, locate.Options{Archives: c.Archives, File: c.File})
		if err != nil {
			return err
		}
		for _, err := range report.Failed {
			con.logger.Warn("not indexed", "reason", err)
		}
		if c.JSON {
			err = printJSON(con.stdout, c.report(report))
		}
		con.say("%d paths indexed, %d new, %d gone, %d without a listing, %s written, in %v", report.Paths, report.Added,
			report.Dropped, report.Unlisted, size(report.Bytes), report.Elapsed.Round(time.Millisecond))
		if n := len(report.Failed); n > 0 {
			err = errors.Join(err, fmt.Errorf("%d paths could not be indexed", n))
		}
		return err
	})
}

func (c *indexCommand) report(r *locate.Report) indexReport {
	out := indexReport{layout.FileIndexKey, r.Paths, r.Added, r.Dropped, r.Unlisted, []string{}, r.Bytes}
	if c.File != "" {
		out.Index = c.File
	}
	for _, err := range r.Failed {
		out.Failed = append(out.Failed, err.Error())
	}
	return out
}
