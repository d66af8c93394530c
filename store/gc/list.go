package gc

import (
	"context"
	"iter"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
)

const (
	// alone is how many keys are listed one page after the other, before the
	// rest is listed in parallel: a page more or less does not count then.
	alone = 5000

	// pageSize is how many attributes pass from a listing to its user at once.
	pageSize = 1000

	// highest is greater than all that follows a character in a usual key.
	highest = "\U0010FFFF"
)

// firstCharacters are those with which the names of narinfos and archives begin.
const firstCharacters = "0123456789abcdefghijklmnopqrstuvwxyz"

// lister is where listings come from: a bucket, or an inventory of one.
type lister interface {
	List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error]
}

// list calls visit for each object with a prefix, in no particular order and
// from one goroutine. A long listing is cut by the first characters of the names
// and its parts are listed in parallel.
func list(ctx context.Context, b lister, prefix string, shallow bool, visit func(blob.Attrs) error) error {
	if _, ok := b.(*Inventory); ok {
		return listOnce(ctx, b, prefix, shallow, visit)
	}
	last, n := "", 0
	for attrs, err := range b.List(ctx, blob.ListOptions{Prefix: prefix, Shallow: shallow}) {
		if err != nil {
			return err
		}
		if err := visit(attrs); err != nil {
			return err
		}
		if last, n = attrs.Key, n+1; n%pageSize == 0 && n >= alone && last >= prefix+firstCharacters[:1] {
			return listRest(ctx, b, prefix, shallow, last, visit)
		}
	}
	return nil
}

// listOnce lists what cannot be listed in parts.
func listOnce(ctx context.Context, b lister, prefix string, shallow bool, visit func(blob.Attrs) error) error {
	for attrs, err := range b.List(ctx, blob.ListOptions{Prefix: prefix, Shallow: shallow}) {
		if err == nil {
			err = visit(attrs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// part is a part of a listing: the keys with the prefix of opts, after its
// StartAfter and before end, where that is not empty.
type part struct {
	opts blob.ListOptions
	end  string
}

// partsAfter cuts what follows a key, which is none before the first of
// firstCharacters.
func partsAfter(last, prefix string, shallow bool) []part {
	var parts []part
	after := func(start, end string) {
		if end == "" || end > last {
			parts = append(parts, part{blob.ListOptions{Prefix: prefix, StartAfter: max(start, last), Shallow: shallow}, end})
		}
	}
	for _, c := range firstCharacters {
		p := prefix + string(c)
		if c == 'a' {
			after(prefix+"9"+highest, p)
		}
		if p+highest <= last {
			continue
		}
		opts := blob.ListOptions{Prefix: p, Shallow: shallow}
		if last > p {
			opts.StartAfter = last
		}
		parts = append(parts, part{opts: opts})
	}
	after(prefix+"z"+highest, "")
	return parts
}

// listRest lists what follows a key in parallel.
func listRest(ctx context.Context, b lister, prefix string, shallow bool, last string, visit func(blob.Attrs) error) error {
	g, ctx := errgroup.WithContext(ctx)
	pages := make(chan []blob.Attrs, requests)
	g.Go(func() error {
		defer close(pages)
		parts, pctx := errgroup.WithContext(ctx)
		parts.SetLimit(requests)
		for _, p := range partsAfter(last, prefix, shallow) {
			parts.Go(func() error { return p.list(pctx, b, pages) })
		}
		return parts.Wait()
	})
	g.Go(func() error {
		for page := range pages {
			for _, attrs := range page {
				if err := visit(attrs); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return g.Wait()
}

func (p part) list(ctx context.Context, b lister, pages chan<- []blob.Attrs) error {
	var page []blob.Attrs
	send := func() error {
		if len(page) == 0 {
			return nil
		}
		select {
		case pages <- page:
			page = nil
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for attrs, err := range b.List(ctx, p.opts) {
		if err != nil {
			return err
		}
		if p.end != "" && attrs.Key >= p.end {
			break
		}
		if page == nil {
			page = make([]blob.Attrs, 0, pageSize)
		}
		if page = append(page, attrs); len(page) == pageSize {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}
