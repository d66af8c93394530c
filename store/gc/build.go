package gc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// ErrBroken is a narinfo that cannot be read. Its references are not known, so
// nothing is deleted.
var ErrBroken = errors.New("narinfo cannot be read")

// Broken is a narinfo that cannot be read.
type Broken struct {
	Key string
	Err error
}

// look lists the narinfos and reads those that the graph does not know yet. It
// returns the paths whose narinfo is new or has changed since the last look.
func (c *collector) look(ctx context.Context) ([]id, error) {
	c.broken = nil // those that still are will be found again
	for i := range c.g.marks {
		c.g.marks[i] &^= listed
		c.g.ls[i] = 0
	}
	var changed, unknown []id
	n := 0
	err := list(ctx, c.b, "", true, func(attrs blob.Attrs) error {
		if n++; n%pageSize == 0 {
			c.opts.Progress(Progress{Step: Listing, Done: n})
		}
		i, isNew := c.see(attrs)
		if isNew {
			changed = append(changed, i)
		}
		if i != noID && c.g.marks[i]&(unread|broken) != 0 {
			unknown = append(unknown, i)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.changed = c.changed || len(unknown) > 0
	return changed, c.readAll(ctx, unknown)
}

// see notes a listed object. It returns the path whose narinfo the object is,
// and whether the narinfo differs from the known one.
func (c *collector) see(attrs blob.Attrs) (i id, changed bool) {
	g := &c.g
	if base, ok := layout.ParseListingKey(attrs.Key); ok {
		if h, ok := parseHashPart(base); ok {
			g.ls[g.node(h)] = max(1, secondsOf(attrs.ModTime))
		}
		return noID, false
	}
	base, ok := layout.ParseNarInfoKey(attrs.Key)
	if !ok {
		return noID, false
	}
	h, ok := parseHashPart(base)
	if !ok {
		return noID, false
	}
	i = g.node(h)
	g.marks[i] |= listed
	seen := etagOf(attrs)
	changed = g.etag[i] != seen || seen == 0 || g.added[i] != secondsOf(attrs.ModTime)
	if g.etag[i] != seen || seen == 0 {
		g.etag[i] = seen
		g.marks[i] |= unread
	}
	g.added[i] = secondsOf(attrs.ModTime)
	return i, changed
}

// etagOf digests the ETag and the size of an object. It returns 0 where the
// bucket has nothing of the kind.
func etagOf(attrs blob.Attrs) digest {
	if attrs.ETag == "" {
		return 0
	}
	return digestOf(attrs.ETag, fmt.Sprint(attrs.Size))
}

// readAll reads narinfos in parallel.
func (c *collector) readAll(ctx context.Context, ids []id) error {
	var mu sync.Mutex // guards the graph
	done := 0
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for _, i := range ids {
		if gctx.Err() != nil {
			break
		}
		mu.Lock()
		key := layout.NarInfoKey(c.g.hash[i].String())
		mu.Unlock()
		g.Go(func() error {
			_, info, attrs, err := readNarInfo(gctx, c.b, key)
			mu.Lock()
			defer mu.Unlock()
			if done++; done%pageSize == 0 || done == len(ids) {
				c.opts.Progress(Progress{Step: Reading, Done: done, Total: len(ids)})
			}
			return c.learn(i, key, info, attrs, err)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// learn notes what reading a narinfo gave.
func (c *collector) learn(i id, key string, info *narinfo.NarInfo, attrs blob.Attrs, err error) error {
	var malformed *malformedError
	switch {
	case errors.Is(err, blob.ErrNotFound):
		c.g.marks[i] &^= listed | unread // it was deleted meanwhile
		return nil
	case errors.As(err, &malformed):
		c.g.etag[i] = 0
		c.g.marks[i] |= broken
		c.broken = append(c.broken, Broken{key, err})
		c.mentioned(i, malformed.text)
		return nil
	case err != nil:
		return err
	}
	c.g.set(i, info)
	if now := etagOf(attrs); now != 0 && now != c.g.etag[i] {
		c.g.etag[i] = 0 // it changed meanwhile, and is read again next time
	}
	return nil
}

// malformedError is an object that was read and is not what it should be.
type malformedError struct {
	err  error
	text []byte
}

func (e *malformedError) Error() string { return e.err.Error() }
func (e *malformedError) Unwrap() error { return e.err }

// readNarInfo reads the narinfo with a key: as stored and parsed.
func readNarInfo(ctx context.Context, b blob.Bucket, key string) (raw []byte, info *narinfo.NarInfo, attrs blob.Attrs, err error) {
	raw, text, attrs, err := readSmall(ctx, b, key, layout.NarInfo)
	if err != nil {
		if raw != nil || errors.Is(err, blob.ErrTooLarge) {
			err = &malformedError{fmt.Errorf("%w: %s in %s: %w", ErrBroken, key, b, err), raw}
		}
		return raw, nil, attrs, err
	}
	parsed, err := narinfo.Parse(text)
	if err == nil && layout.NarInfoKey(parsed.Path.HashPart()) != key {
		err = fmt.Errorf("it is the narinfo of %s", parsed.Path)
	}
	if err != nil {
		return raw, nil, attrs, &malformedError{fmt.Errorf("%w: %s in %s: %w", ErrBroken, key, b, err), text}
	}
	return raw, parsed, attrs, nil
}

// mentioned notes as references all paths that a broken narinfo mentions, as far
// as its text can be read, and those that it had when it was whole. The archives
// that it mentions stay too.
func (c *collector) mentioned(i id, text []byte) {
	g := &c.g
	before := slices.Clone(g.references(i))
	at := uint32(len(g.refs))
	g.refs = append(g.refs, before...)
	for from := 0; from+hashPartLength <= len(text); from++ {
		h, ok := parseHashPart(string(text[from : from+hashPartLength]))
		if !ok {
			continue
		}
		if ref := g.find(h); ref != noID && ref != i {
			g.refs = append(g.refs, ref)
		}
	}
	g.refsAt[i], g.refsLen[i] = at, uint32(len(g.refs))-at
	for _, word := range bytes.Fields(text) {
		if key, err := layout.ReferenceKey(string(word)); err == nil {
			c.keptStems[stem(key)] = true
		}
	}
}

const hashPartLength = 32
