package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/layout"
)

// maxRounds bounds how often Copy sends paths again that another process has
// removed meanwhile.
const maxRounds = 3

// Copy copies the closure of the roots from one store to another. It sends
// archives in parallel, the largest first. A path becomes visible after all its
// references. So whenever Copy fails, every visible path of the destination is
// whole and has its references; running Copy again sends only what is missing.
//
// An archive that the source has compressed is stored byte for byte, unless the
// destination's settings name another compression. At the end Copy looks again
// for the references that it had found at the destination, and copies those that
// have disappeared.
//
// Without KeepGoing the error is that of the first path that failed; with it,
// the error has the number of failures. The report is always valid. Copy reads
// the source from several goroutines, and cannot interrupt a Read of the source
// that ignores its context.
func Copy(ctx context.Context, dst Destination, src Source, roots []storepath.Path, opts CopyOptions) (CopyReport, error) {
	start := time.Now()
	c := &copier{dst: dst, src: newCopySource(src, opts), opts: opts}
	err := c.run(ctx, roots)
	c.report.Elapsed = time.Since(start)
	return c.report, err
}

type copier struct {
	dst     Destination
	src     *copySource
	opts    CopyOptions
	session *Session // nil where the destination has none
	report  CopyReport
}

func (c *copier) run(ctx context.Context, roots []storepath.Path) (err error) {
	if c.src.StoreDir() != c.dst.StoreDir() {
		return fmt.Errorf("%w: expected %s as in %s, got %s in %s", ErrStoreDir, c.dst.StoreDir(), c.dst, c.src.StoreDir(), c.src)
	}
	if c.opts.TrustDestination && !c.opts.All && !c.opts.Repair && len(c.opts.Signers) == 0 {
		c.src.has = c.dst.Has
	}
	if c.src.compared, err = c.src.compare(ctx, c.dst); err != nil {
		return err
	}
	if c.src.compared != nil {
		c.src.has = c.src.compared.hasOrAsk(c.dst)
	}
	g, unreadable, err := c.src.closure(ctx, roots)
	if err != nil {
		return err
	}
	c.report.Failed = unreadable
	if c.session, err = c.begin(ctx, g); err != nil {
		return err
	}
	defer func() { c.session.End(ctx, err) }()
	// A collector may have taken paths that were seen before the session began.
	p := &planner{dst: c.dst, opts: c.opts, compared: c.src.compared, asked: c.src.has != nil && !c.session.Leased()}
	todo, err := p.plan(ctx, g, &c.report)
	if err != nil {
		return err
	}
	c.noteFound(g, roots)
	if err := c.send(ctx, g, todo); err != nil {
		return err
	}
	if !c.opts.DryRun {
		if err := c.companions(ctx, g); err != nil {
			return err
		}
	}
	if n := len(c.report.Failed); n > 0 {
		all := c.report.Paths - c.report.Present - c.report.Upstream
		return fmt.Errorf("%d of %d paths could not be copied, the first: %w", n, all, c.report.Failed[0])
	}
	if c.opts.Keep == nil || c.opts.DryRun {
		return nil
	}
	return c.opts.Keep(ctx)
}

// noteFound lets collectors know of the roots that the destination has already,
// as if they were uploaded. A root that Keep sets needs no such note.
func (c *copier) noteFound(g closure, roots []storepath.Path) {
	if c.opts.Keep != nil || c.session == nil {
		return
	}
	for _, root := range roots {
		if n := g[root]; n != nil && n.present {
			c.session.lease.Found(root.HashPart())
		}
	}
}

// begin announces the copy to the collectors of the destination.
func (c *copier) begin(ctx context.Context, g closure) (*Session, error) {
	if c.opts.DryRun {
		return nil, nil
	}
	switch dst := c.dst.(type) {
	case *Cache:
		var archives []string
		for _, n := range g {
			if n.file != nil && n.file.FileHash.Algorithm() == nixhash.SHA256 && dst.keeps(n.file.Compression) {
				archives = append(archives, layout.ArchiveKey(n.file.FileHash, n.file.Compression))
			}
		}
		return dst.begin(ctx, slices.Collect(maps.Keys(g)), archives)
	case Sessions:
		return dst.Begin(ctx, slices.Collect(maps.Keys(g))...)
	}
	return nil, nil
}

// send transfers the nodes. Then it looks for the references that were found at
// the destination, and transfers those that are gone.
func (c *copier) send(ctx context.Context, g closure, todo []*node) error {
	var all []*node
	for round := 0; ; round++ {
		if err := c.transfer(ctx, todo); err != nil {
			return err
		}
		all = append(all, todo...)
		if c.opts.DryRun {
			return nil
		}
		gone, err := c.gone(ctx, g, all)
		if err != nil || len(gone) == 0 {
			return err
		}
		if round == maxRounds {
			return &MissingReferenceError{StoreDir: c.dst.StoreDir(), Path: gone[0].user, References: []storepath.Path{gone[0].info.Path}}
		}
		todo = gone
	}
}

func (c *copier) transfer(ctx context.Context, todo []*node) error {
	t := newTransfer(c.dst, c.src, c.opts, c.session, todo, newProgressCounters(c.dst, &c.report))
	return t.run(ctx, &c.report)
}

// gone returns the nodes that were found at the destination, to which a
// published one refers, and that have disappeared.
func (c *copier) gone(ctx context.Context, g closure, published []*node) ([]*node, error) {
	relied := map[storepath.Path]*node{}
	for _, n := range published {
		if !n.published {
			continue
		}
		for _, ref := range n.info.References {
			if r := g[ref]; r != nil && r.present {
				r.user = n.info.Path
				relied[ref] = r
			}
		}
	}
	nodes := make([]*node, 0, len(relied))
	for _, n := range relied {
		nodes = append(nodes, n)
	}
	gone, err := absent(ctx, c.dst, nodes)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	for _, n := range gone {
		if n.unread {
			return nil, &MissingReferenceError{StoreDir: c.dst.StoreDir(), Path: n.user, References: []storepath.Path{n.info.Path}}
		}
	}
	// A collector that removes a path removes its references too, unless others
	// need them: check its closure.
	return absent(ctx, c.dst, g.below(gone))
}
