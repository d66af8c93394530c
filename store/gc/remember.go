package gc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// A graph's shards have the keys graph-<generation>-<number>-<count>.
const graphPrefix = layout.ControlPrefix + "collect/graph-"

// maxShards bounds what is read of a stored graph.
const maxShards = 1 << 14

// recall reads the graph that an earlier run stored. It
// ignores a graph that cannot be used, because the graph only saves requests.
func (c *collector) recall(ctx context.Context) error {
	found, err := c.graphShards(ctx)
	if err != nil {
		return err
	}
	for _, generation := range found.newestFirst() {
		g, links, err := loadGraph(ctx, c.b, found.keys[generation])
		if err == nil {
			c.g, c.links = *g, links
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.opts.Logger.WarnContext(ctx, "a stored graph cannot be used", "bucket", c.b.String(), "generation", generation, "error", err)
	}
	return nil
}

// generations are the stored graphs.
type generations struct{ keys map[string][]string }

func (g generations) newestFirst() []string {
	var names []string
	for name := range g.keys {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names
}

func (c *collector) graphShards(ctx context.Context) (generations, error) {
	g := generations{map[string][]string{}}
	for attrs, err := range c.b.List(ctx, blob.ListOptions{Prefix: graphPrefix}) {
		if err != nil {
			return g, err
		}
		generation, _, _ := strings.Cut(strings.TrimPrefix(attrs.Key, graphPrefix), "-")
		g.keys[generation] = append(g.keys[generation], attrs.Key)
	}
	return g, nil
}

func shardKey(generation string, n, count int) string {
	return fmt.Sprintf("%s%s-%05d-%05d", graphPrefix, generation, n, count)
}

func loadGraph(ctx context.Context, b blob.Bucket, keys []string) (*graph, map[digest]link, error) {
	if len(keys) > maxShards {
		return nil, nil, fmt.Errorf("%w: it has %d parts, at most %d are read", errGraph, len(keys), maxShards)
	}
	g, links := &graph{}, map[digest]link{}
	for n, key := range keys { // in the order of their numbers, as listed
		generation, _, _ := strings.Cut(strings.TrimPrefix(key, graphPrefix), "-")
		if key != shardKey(generation, n, len(keys)) {
			return nil, nil, fmt.Errorf("%w: its part %d of %d is missing", errGraph, n, len(keys))
		}
		data, _, err := blob.ReadAll(ctx, b, key, shardLimit)
		if err != nil {
			return nil, nil, err
		}
		s, err := decodeShard(data)
		if err == nil {
			err = g.append(s)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s in %s: %w", key, b, err)
		}
		for i, k := range s.linkKey {
			links[k] = link{s.linkEtag[i], s.linkTarget[i]}
		}
	}
	return g, links, g.finish()
}

// remember stores the graph for the next run, and removes the one before.
func (c *collector) remember(ctx context.Context) error {
	found, err := c.graphShards(ctx)
	if err != nil {
		return err
	}
	generation := newName(c.clock.now())
	err = c.g.shards(c.links, func(n, count int, s *shard) error {
		data, err := s.encode()
		if err != nil {
			return err
		}
		if err := c.stillLocked(); err != nil {
			return err
		}
		_, err = c.b.Put(ctx, shardKey(generation, n, count), bytes.NewReader(data), binaryType)
		return err
	})
	var errs []error
	for name, keys := range found.keys {
		if err == nil && name != generation {
			errs = append(errs, deleteAll(ctx, c.b, keys))
		}
	}
	return errors.Join(append(errs, err)...)
}
