package gc

import (
	"context"
	"strings"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/lease"
)

// tidy deletes objects of collectors and writers that nobody needs any more:
// journals older than the grace period, leases and traces that have expired, and lost canaries.
func (c *collector) tidy(ctx context.Context) error {
	var keys []string
	runs := map[string][]string{}
	for attrs, err := range c.b.List(ctx, blob.ListOptions{Prefix: runPrefix}) {
		if err != nil {
			return err
		}
		run, _, _ := strings.Cut(strings.TrimPrefix(attrs.Key, runPrefix), "/")
		runs[run] = append(runs[run], attrs.Key)
	}
	for run, parts := range runs {
		if run == c.run {
			continue
		}
		x, err := readIndex(ctx, c.b, run)
		switch {
		case isNoRun(err): // it ended before it deleted anything
		case err != nil:
			return err
		case c.clock.now().Before(x.Begun.Add(c.opts.Grace)):
			continue
		}
		keys = append(keys, parts...)
	}
	leases, err := lease.List(ctx, c.b)
	if err != nil {
		return err
	}
	for _, l := range leases {
		if l.Expired(l.ModTime, c.clock.now()) || l.Done && secondsOf(l.ModTime) < c.recentSince() {
			keys = append(keys, l.Key)
		}
	}
	for attrs, err := range c.b.List(ctx, blob.ListOptions{Prefix: canaryPrefix}) {
		if err != nil {
			return err
		}
		if c.old(secondsOf(attrs.ModTime), lease.TTL) {
			keys = append(keys, attrs.Key)
		}
	}
	return c.delete(ctx, keys)
}
