package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store"
	"example.com/nixs3/store/serve"
)

// upstreams opens the upstreams. The function that it returns closes them.
func (c *upstreamFlags) upstreams(ctx context.Context, con *console, opts *serve.Options) (closeAll func(), err error) {
	closeAll = func() {
		for _, u := range opts.Upstreams {
			u.Cache.Close()
		}
	}
	open := func(flag, value string, optional bool) error {
		url, text, _ := strings.Cut(strings.TrimSpace(value), " ")
		keys, err := narinfo.ParseTrustedKeys(text)
		if err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		cache, err := openCache(ctx, con, url, store.WithDamaged(), withPresenceKeys(keys))
		if err != nil {
			return err
		}
		opts.Upstreams = append(opts.Upstreams, serve.Upstream{
			Cache: cache, Keys: keys, Priority: len(opts.Upstreams), PullThrough: c.PullThrough, Optional: optional,
		})
		return greet(ctx, con, cache)
	}
	for _, value := range c.Upstream {
		if err := open("--upstream", value, false); err != nil {
			return closeAll, err
		}
	}
	for _, value := range c.OptionalUpstream {
		if err := open("--optional-upstream", value, true); err != nil {
			return closeAll, err
		}
	}
	return closeAll, nil
}

// greetTimeout is how long the start waits for an upstream.
const greetTimeout = 3 * time.Second

// greet warns of an upstream that does not answer. One for another store
// directory is an error.
func greet(ctx context.Context, con *console, upstream *store.Cache) error {
	asking, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	_, err := upstream.CacheInfo(asking)
	if errors.Is(err, store.ErrStoreDir) {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		con.logger.WarnContext(ctx, "an upstream does not answer yet", "upstream", upstream.String(), "error", err)
	}
	return nil
}
