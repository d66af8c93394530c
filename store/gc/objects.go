package gc

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// orphan is an object that no path which stays refers to.
type orphan struct {
	key   string
	size  int64
	added seconds
	since seconds // when a run first saw that
}

// link is what an object of debuginfo/ or realisations/ leads to: the digest of
// an archive's stem, or a hash part.
type link struct {
	etag   digest
	target hashPart
}

func targetArchive(p digest) (h hashPart) {
	binary.LittleEndian.PutUint64(h[:], uint64(p))
	return h
}

func (l link) stem() digest { return digest(binary.LittleEndian.Uint64(l.target[:])) }

// needs is what the paths that stay need of the other objects.
type needs struct {
	archives []bool   // by their place
	derivers []digest // sorted
}

func (c *collector) needs() needs {
	n := needs{archives: make([]bool, len(c.g.archives.stem))}
	for i := range c.g.visible {
		if c.g.marks[i]&kept == 0 {
			continue
		}
		if a := c.g.archive[i]; a != noID {
			n.archives[a] = true
		}
		if d := c.g.deriver[i]; d != 0 {
			n.derivers = append(n.derivers, d)
		}
	}
	slices.Sort(n.derivers)
	n.derivers = slices.Compact(n.derivers)
	return n
}

// needed reports whether something that stays needs an object, or the object is
// none that a collector knows.
func (c *collector) needed(key string, n needs) bool {
	switch layout.KindOf(key) {
	case layout.Archive, layout.Index:
		return c.archiveNeeded(stem(key), n)
	case layout.Listing:
		base, _ := layout.ParseListingKey(key)
		return c.stays(base)
	case layout.Log:
		drv := strings.TrimPrefix(key, layout.LogPrefix)
		_, ok := slices.BinarySearch(n.derivers, digestOf(drv))
		return ok || c.stays(drv[:hashPartLength])
	case layout.DebugInfo:
		l, ok := c.links[digestOf(key)]
		return !ok || c.archiveNeeded(l.stem(), n)
	case layout.Realisation:
		l, ok := c.links[digestOf(key)]
		return !ok || c.stays(l.target.String())
	}
	return true
}

func (c *collector) archiveNeeded(p digest, n needs) bool {
	a := c.g.archives.find(p)
	return a != noID && n.archives[a] || c.keptStems[p]
}

func (c *collector) stays(base string) bool {
	h, ok := parseHashPart(base)
	i := c.g.find(h)
	return !ok || i != noID && c.g.marks[i]&kept != 0
}

// findOrphans lists all objects but the narinfos and finds those that nothing
// needs which stays.
func (c *collector) findOrphans(ctx context.Context) error {
	c.orphans, c.dangling = nil, nil
	n := c.needs()
	clear(c.g.archives.size)
	var archives lister = c.b
	if c.opts.Inventory != nil {
		archives = c.opts.Inventory
	}
	err := list(ctx, archives, layout.ArchivePrefix, false, func(attrs blob.Attrs) error {
		if a := c.g.archives.find(stem(attrs.Key)); a != noID && layout.KindOf(attrs.Key) == layout.Archive {
			c.g.archives.size[a] += attrs.Size
		}
		c.consider(attrs, n)
		return nil
	})
	if err != nil {
		return err
	}
	for i, at := range c.g.ls {
		if at != 0 {
			c.consider(blob.Attrs{Key: layout.ListingKey(c.g.hash[i].String()), ModTime: at.time()}, n)
		}
	}
	err = list(ctx, c.b, layout.LogPrefix, false, func(attrs blob.Attrs) error {
		c.consider(attrs, n)
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.findUploads(ctx); err != nil {
		return err
	}
	return c.findLinks(ctx, n)
}

// consider adds an object to the orphans, or to the dangling realisations, where
// nothing needs it.
func (c *collector) consider(attrs blob.Attrs, n needs) {
	switch {
	case c.needed(attrs.Key, n):
	case layout.KindOf(attrs.Key) == layout.Realisation:
		c.dangling = append(c.dangling, attrs)
	default:
		since, ok := c.condemned[digestOf(attrs.Key)]
		if !ok {
			since = secondsOf(c.clock.now())
		}
		c.orphans = append(c.orphans, orphan{attrs.Key, attrs.Size, secondsOf(attrs.ModTime), since})
	}
}

// findLinks considers the links to debug information and the realisations.
func (c *collector) findLinks(ctx context.Context, n needs) error {
	var found []blob.Attrs
	for _, prefix := range append(layout.RealisationPrefixes(), layout.DebugInfoPrefix) {
		err := list(ctx, c.b, prefix, false, func(attrs blob.Attrs) error {
			if kind := layout.KindOf(attrs.Key); kind == layout.DebugInfo || kind == layout.Realisation {
				found = append(found, attrs)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := c.resolve(ctx, found); err != nil {
		return err
	}
	for _, attrs := range found {
		c.consider(attrs, n)
	}
	return nil
}

// resolve reads the links that are not known yet, and forgets those that are
// gone.
func (c *collector) resolve(ctx context.Context, found []blob.Attrs) error {
	var mu sync.Mutex
	links, read := map[digest]link{}, false
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for _, attrs := range found {
		key, etag := digestOf(attrs.Key), etagOf(attrs)
		if l, ok := c.links[key]; ok && l.etag == etag && etag != 0 {
			mu.Lock()
			links[key] = l
			mu.Unlock()
			continue
		}
		read = true
		g.Go(func() error {
			target, err := readLink(gctx, c.b, attrs.Key)
			if errors.Is(err, blob.ErrNotFound) {
				return nil
			}
			if errors.Is(err, errLink) {
				c.opts.Logger.WarnContext(gctx, "an object stays that cannot be read", "bucket", c.b.String(), "key", attrs.Key, "error", err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				links[key] = link{etag, target}
			}
			return err
		})
	}
	err := g.Wait()
	c.changed = c.changed || read || len(links) != len(c.links)
	c.links = links
	return err
}

var errLink = errors.New("malformed link")

// readLink reads where an object of debuginfo/ or realisations/ leads.
func readLink(ctx context.Context, b blob.Bucket, key string) (hashPart, error) {
	raw, attrs, err := blob.ReadAll(ctx, b, key, layout.KindOf(key).Limit())
	if errors.Is(err, blob.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", errLink, err)
	}
	if err != nil {
		return hashPart{}, err
	}
	target, err := parseLink(key, raw, attrs.ContentEncoding)
	if err != nil {
		err = fmt.Errorf("%w: %w", errLink, err)
	}
	return target, err
}

// parseLink returns where the content of an object leads.
func parseLink(key string, raw []byte, encoding string) (hashPart, error) {
	kind := layout.KindOf(key)
	text, err := codec.DecodeContent(encoding, raw, kind.Limit())
	if err != nil {
		return hashPart{}, err
	}
	if kind == layout.Realisation {
		id, err := narinfo.ParseRealisationKey(key)
		if err != nil {
			return hashPart{}, err
		}
		r, err := narinfo.ParseRealisation(id, text)
		if err != nil {
			return hashPart{}, err
		}
		h, _ := parseHashPart(r.OutPath.HashPart())
		return h, nil
	}
	var debug struct {
		Archive string `json:"archive"`
	}
	if err := json.Unmarshal(text, &debug); err != nil {
		return hashPart{}, err
	}
	target, err := layout.ReferenceKey(path.Join("/", layout.DebugInfoPrefix, debug.Archive))
	if err != nil {
		return hashPart{}, err
	}
	return targetArchive(stem(target)), nil
}

// ripe reports whether an orphan may be destroyed: it was seen as one for the
// grace period, is older than that itself, and older than the work of all
// writers, which may be about to refer to their uploads.
func (c *collector) ripe(o orphan) bool {
	now := c.clock.now()
	return !now.Before(o.since.time().Add(c.opts.Grace)) && c.old(o.added, max(c.opts.Grace, c.opts.Recent))
}

// old reports whether an object is older than an age and than the work of all
// writers.
func (c *collector) old(added seconds, age time.Duration) bool {
	if !c.oldestWriter.IsZero() && !added.time().Before(c.oldestWriter.Add(-clockSlack)) {
		return false
	}
	return !c.clock.now().Before(added.time().Add(age))
}

// clockSlack is how far the clocks of a server's machines may be apart.
const clockSlack = time.Minute
