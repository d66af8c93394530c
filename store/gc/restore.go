package gc

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// absent returns the paths that stay, are not visible, and that something
// visible refers to or a root names.
func (c *collector) absent() map[id]bool {
	g := &c.g
	wanted := map[id]bool{}
	for i := range g.visible {
		if g.marks[i]&kept == 0 {
			continue
		}
		for _, ref := range g.references(i) {
			if g.marks[ref]&listed == 0 {
				wanted[ref] = true
			}
		}
	}
	for i, m := range g.marks {
		if m&named != 0 && m&kept != 0 && m&listed == 0 {
			wanted[id(i)] = true
		}
	}
	return wanted
}

// heal brings back from the journals what paths that stay refer to and lack, as
// writers leave it that know nothing of collectors.
func (c *collector) heal(ctx context.Context) error {
	wanted := c.absent()
	if len(wanted) == 0 {
		return nil
	}
	runs, err := journals(ctx, c.b)
	if err != nil {
		return err
	}
	for _, x := range runs {
		// What comes back may lack something too.
		for len(wanted) > 0 {
			before := len(c.report.Restored)
			if err := c.restoreFrom(ctx, x, func(i id) bool { return wanted[i] }); err != nil {
				return err
			}
			wanted = c.absent()
			if len(c.report.Restored) == before {
				break
			}
		}
	}
	return nil
}

// restoreFrom makes visible the entries of a journal that want selects, each
// after its references, which come from the journal too.
func (c *collector) restoreFrom(ctx context.Context, x *index, want func(id) bool) error {
	entries := map[id]*entry{}
	var order []id
	var realisations []*entry
	for n := range x.Parts {
		err := readPart(ctx, c.b, x.Run, n, func(e *entry) error {
			base, ok := layout.ParseNarInfoKey(e.Key)
			if !ok {
				realisations = append(realisations, e)
				return nil
			}
			h, _ := parseHashPart(base)
			i := c.g.node(h)
			entries[i] = e
			order = append(order, i)
			return nil
		})
		if err != nil {
			return err
		}
	}
	r := restorer{c, entries, map[id]error{}}
	for _, i := range order {
		if c.g.marks[i]&listed == 0 && want(i) {
			if err := r.restore(ctx, i); err != nil {
				return err
			}
		}
	}
	for _, e := range realisations {
		if err := r.restoreRealisation(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// restorer brings back entries of a journal.
type restorer struct {
	c       *collector
	entries map[id]*entry
	tried   map[id]error // why it cannot be, nil while it is being tried
}

// errGone is a path that cannot be brought back.
var errGone = errors.New("cannot be brought back")

// restore makes a path visible, after all that it refers to. Only a failure of
// the bucket is an error.
func (r *restorer) restore(ctx context.Context, i id) error {
	// A stack of its own, since references may be nested deeply.
	stack := []id{i}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		if r.c.g.marks[i]&listed != 0 || r.tried[i] != nil {
			stack = stack[:len(stack)-1]
			continue
		}
		e := r.entries[i]
		if e == nil {
			r.tried[i] = fmt.Errorf("%w: the journal does not have it", errGone)
			continue
		}
		info, err := e.info()
		if err != nil {
			r.tried[i] = fmt.Errorf("%w: its narinfo in the journal: %w", errGone, err)
			continue
		}
		_, visited := r.tried[i]
		r.tried[i] = nil
		waits, gone := false, error(nil)
		for _, p := range info.References {
			h, _ := parseHashPart(p.HashPart())
			ref := r.c.g.node(h)
			if ref == i || r.c.g.marks[ref]&listed != 0 {
				continue
			}
			if r.tried[ref] != nil {
				gone = fmt.Errorf("%w: its reference %s %w", errGone, p, r.tried[ref])
			} else if !visited {
				stack, waits = append(stack, ref), true
			} else {
				gone = fmt.Errorf("%w: its reference %s is one of a circle", errGone, p)
			}
		}
		switch {
		case gone != nil:
			r.tried[i] = gone
		case !waits:
			if err := r.publish(ctx, i, e, info.Path, info.URL); err != nil {
				return err
			}
		}
	}
	if err := r.tried[i]; err != nil {
		r.c.report.Lost = append(r.c.report.Lost, Lost{r.c.g.base(i), err.Error()})
	}
	return nil
}

// publish makes a narinfo of the journal visible if its archive is still there.
func (r *restorer) publish(ctx context.Context, i id, e *entry, p storepath.Path, ref string) error {
	c := r.c
	if key, err := layout.ReferenceKey(ref); err == nil {
		if _, err := c.b.Head(ctx, key); errors.Is(err, blob.ErrNotFound) {
			r.tried[i] = fmt.Errorf("%w: its archive %s is gone", errGone, key)
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := c.stillLocked(); err != nil {
		return err
	}
	attrs, err := c.b.Put(ctx, e.Key, bytes.NewReader(e.Body), blob.PutOptions{ContentType: e.Type, ContentEncoding: e.Encoding, IfNoneMatch: true})
	if err != nil && !errors.Is(err, blob.ErrPrecondition) {
		return fmt.Errorf("bringing %s back: %w", p, err)
	}
	if err == nil {
		c.report.Restored = append(c.report.Restored, p)
		c.opts.Progress(Progress{Step: Restoring, Done: len(c.report.Restored)})
	}
	info, perr := e.info()
	if perr != nil {
		return perr
	}
	c.g.set(i, info)
	c.g.marks[i] |= listed
	c.g.etag[i], c.g.added[i] = etagOf(attrs), secondsOf(c.clock.now())
	c.changed = true
	if c.g.marks[i]&kept != 0 { // as a reference of what stays; its own stay too
		c.g.marks[i] &^= kept
		by := noKeeperID
		if int(i) < len(c.keptBy) {
			by = id(c.keptBy[i])
		}
		c.mark(by, i)
	}
	return nil
}

// restoreRealisation brings back a realisation whose path is visible.
func (r *restorer) restoreRealisation(ctx context.Context, e *entry) error {
	c := r.c
	target, err := parseLink(e.Key, e.Body, e.Encoding)
	if err != nil {
		return nil
	}
	if i := c.g.find(target); i == noID || c.g.marks[i]&listed == 0 {
		return nil
	}
	if err := c.stillLocked(); err != nil {
		return err
	}
	_, err = c.b.Put(ctx, e.Key, bytes.NewReader(e.Body), blob.PutOptions{ContentType: e.Type, ContentEncoding: e.Encoding, IfNoneMatch: true})
	if errors.Is(err, blob.ErrPrecondition) {
		return nil
	}
	return err
}
