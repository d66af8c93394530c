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
	signFlag
	Archives bool         `help:"Also index paths without a listing. Their archives are fetched."`
	File     string       `placeholder:"FILE" help:"Keep the index in a local file instead of in the cache."`
	Presence string       `placeholder:"NAME" help:"Publish, in place of the index of files, a signed index of which paths the cache has, under a name of the cache."`
	Expire   durationFlag `placeholder:"TIME" default:"1d" help:"Time for which clients may use the index of paths, at most 7d."`
	JSON     bool         `name:"json" help:"Print the report as JSON."`
}

func (indexCommand) Help() string {
	return "Makes the index of files that \"nixs3 locate\" reads, or renews it: only the listings of new paths are\n" +
		"read. Listings are there if the cache is written with write-nar-listing=true.\n\n" +
		"    nixs3 index --store s3://cache\n" +
		"    nixs3 index --store https://cache.example.org --file files.index\n\n" +
		"With --presence it publishes an index of 10 bits a path. Clients whose URL has presence=NAME, and that\n" +
		"trust the key, then know without a request that a path is not there, until the index expires. To them,\n" +
		"paths that are added meanwhile are not there until then.\n\n" +
		"    nixs3 index --store s3://cache --presence cache.example.org --sign-with key.sec\n" +
		"    nixs3 copy --from local --to s3://mine --upstream \"https://cache.example.org?presence=cache.example.org=$KEY\" …"
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

// Validate is called by kong.
func (c *indexCommand) Validate() error {
	switch {
	case c.Presence != "" && (c.Archives || c.File != ""):
		return errors.New("--presence: expected neither --archives nor --file")
	case c.Presence == "" && len(c.SignWith) > 0:
		return errors.New("--sign-with: expected --presence; the index of files is not signed")
	}
	return nil
}

func (c *indexCommand) Run(ctx context.Context, con *console) error {
	if c.Presence != "" {
		return c.publishPresence(ctx, con)
	}
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

// presenceReport is the report of PublishPresence as JSON.
type presenceReport struct {
	Index   string    `json:"index"`
	Paths   int       `json:"paths"`
	Bytes   int       `json:"bytes"`
	Expires time.Time `json:"expires"`
}

func (c *indexCommand) publishPresence(ctx context.Context, con *console) error {
	signers, err := c.signers(ctx)
	if err != nil {
		return err
	}
	return withCache(ctx, con, c.Store, func(cache *store.Cache) error {
		opts := store.PresenceOptions{Name: c.Presence, Lifetime: time.Duration(c.Expire), Signers: signers}
		r, err := cache.PublishPresence(ctx, opts)
		if err != nil {
			return err
		}
		con.say("%d paths indexed, %s written, until %s", r.Paths, size(int64(r.Bytes)), r.Expires.Format(time.RFC3339))
		if c.JSON {
			return printJSON(con.stdout, presenceReport{layout.PresenceKey, r.Paths, r.Bytes, r.Expires})
		}
		return nil
	})
}
