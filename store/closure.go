package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/internal/graph"
)

// lookups is the number of concurrent lookups in the source, whose budget may
// allow fewer.
const lookups = 128

// Closure returns the descriptions of the roots and of all paths that they refer
// to, directly or through others, each after its references. It fails with
// ErrCycle if paths refer to each other in a circle, and with ErrTooLarge if the
// closure exceeds the default Limits.
func Closure(ctx context.Context, src Source, roots []storepath.Path) ([]*narinfo.PathInfo, error) {
	g, _, err := newCopySource(src, CopyOptions{}).closure(ctx, roots)
	if err != nil {
		return nil, err
	}
	order, err := graph.Link(maps.Values(g)).Order()
	if err != nil {
		return nil, err
	}
	infos := make([]*narinfo.PathInfo, len(order))
	for i, p := range order {
		infos[i] = g[p].info
	}
	return infos, nil
}

// node is a path of the closure that is copied.
type node struct {
	info *narinfo.PathInfo
	file *narinfo.NarInfo // nil where the source has no compressed archives
	err  error            // why the path cannot be copied
	leaf bool             // while the closure is read: its references are not followed

	present   bool           // at the destination when the copy began
	unread    bool           // present, and not described by the source
	published bool           // by this copy
	user      storepath.Path // refers to it
}

// Info implements graph.Node. The references of a path that cannot be copied are
// not followed.
func (n *node) Info() *narinfo.PathInfo {
	if n.err != nil || n.leaf {
		return &narinfo.PathInfo{Path: n.info.Path, NarSize: n.info.NarSize}
	}
	return n.info
}

// fileSize is the number of bytes to read from the source, as far as known.
func (n *node) fileSize() int64 {
	if n.file != nil && n.file.FileSize > 0 {
		return n.file.FileSize
	}
	return n.info.NarSize
}

// closure is the graph of the paths to copy.
type closure map[storepath.Path]*node

// below returns the nodes and their closures.
func (g closure) below(nodes []*node) []*node {
	seen := map[*node]bool{}
	for _, n := range nodes {
		seen[n] = true
	}
	for i := 0; i < len(nodes); i++ {
		for _, ref := range nodes[i].Info().References {
			if r := g[ref]; r != nil && !seen[r] {
				seen[r] = true
				nodes = append(nodes, r)
			}
		}
	}
	return nodes
}

// copySource is a Source with its optional interfaces, looked up once.
type copySource struct {
	Source
	opts       CopyOptions
	compressed CompressedSource // or nil
	unverified UnverifiedSource // or nil
	trusting   TrustingSource   // or nil
	checks     checks           // of signatures

	// compared, if it is not nil, has the paths that need not be read.
	compared *comparison

	// has, if it is not nil, reports whether the destination has a path. The
	// references of such a path are not read.
	has func(context.Context, storepath.Path) (bool, error)
}

func newCopySource(src Source, opts CopyOptions) *copySource {
	s := &copySource{Source: src, opts: opts, checks: newChecks()}
	s.compressed, _ = src.(CompressedSource)
	s.unverified, _ = src.(UnverifiedSource)
	s.trusting, _ = src.(TrustingSource)
	return s
}

// closure reads the graph of the paths to copy. Without KeepGoing it ends at the
// first failure except an untrusted path, which the destination may have.
// unreadable are the paths of All whose description cannot be read.
func (s *copySource) closure(ctx context.Context, roots []storepath.Path) (g closure, unreadable []*CopyError, err error) {
	g = closure{}
	if s.opts.All {
		if unreadable, err = s.everything(ctx, g); err != nil {
			return nil, nil, err
		}
		// A reference outside of them is missing at the source; the lookup
		// reports it like any other.
		roots = g.outside()
	}
	for n, err := range graph.Walk(ctx, roots, lookups, s.opts.Limits, s.lookup) {
		if err != nil {
			return nil, nil, err
		}
		g[n.info.Path] = n
	}
	for _, n := range g {
		n.leaf = false // among the roots of NoClosure, references count again
	}
	_, err = graph.Link(maps.Values(g)).Order()
	return g, unreadable, err
}

// outside returns the references that are not in the graph.
func (g closure) outside() []storepath.Path {
	missing := map[storepath.Path]bool{}
	for _, n := range g {
		for _, ref := range n.Info().References {
			if g[ref] == nil {
				missing[ref] = true
			}
		}
	}
	return slices.Collect(maps.Keys(missing))
}

// everything reads all paths of the source. It leaves out paths that disappear
// meanwhile.
func (s *copySource) everything(ctx context.Context, g closure) (unreadable []*CopyError, err error) {
	used := graph.NewTally(s.opts.Limits)
	for n, err := range s.nodes(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err == nil:
			if err := used.Add(n.info); err != nil {
				return nil, err
			}
			n.err = s.trust(n.info)
			g[n.info.Path] = n
		case errors.Is(err, ErrNotFound):
			if s.compared != nil {
				s.compared.gone++
			}
		case s.opts.KeepGoing:
			unreadable = append(unreadable, &CopyError{Err: err})
		default:
			return nil, err
		}
	}
	return unreadable, nil
}

// nodes yields all paths of the source.
func (s *copySource) nodes(ctx context.Context) iter.Seq2[*node, error] {
	if s.compared != nil {
		return s.compared.nodes(ctx, s.Source.(*Cache))
	}
	if s.compressed == nil {
		return flow.Map(ctx, lookups, s.AllPaths(ctx), func(ctx context.Context, p storepath.Path) (*node, error) {
			n, err := s.describe(ctx, p)
			if err != nil {
				return nil, &lookupError{s, p, storepath.Path{}, err}
			}
			return n, nil
		})
	}
	return func(yield func(*node, error) bool) {
		for file, err := range s.compressed.NarInfos(ctx) {
			var n *node
			if err == nil {
				n = &node{info: &file.PathInfo, file: file}
			}
			if !yield(n, err) {
				return
			}
		}
	}
}

// lookup asks the source for a path. user is the path that refers to it, zero
// for a root. lookup checks the trust before the references are followed.
func (s *copySource) lookup(ctx context.Context, p, user storepath.Path) (*node, error) {
	if s.has != nil {
		switch there, err := s.has(ctx, p); {
		case err != nil && !isAbsent(err):
			return nil, err
		case there:
			return &node{info: &narinfo.PathInfo{StoreDir: s.StoreDir(), Path: p}, leaf: true, present: true, unread: true}, nil
		}
	}
	n, err := s.describe(ctx, p)
	if err == nil {
		n.err = s.checks.do(ctx, func() error { return s.trust(n.info) })
		n.leaf = s.opts.NoClosure
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return n, nil
	}
	err = &lookupError{s, p, user, err}
	if !s.opts.KeepGoing {
		return nil, err
	}
	return &node{info: &narinfo.PathInfo{Path: p}, err: err}, nil
}

// describe returns the node of a path.
func (s *copySource) describe(ctx context.Context, p storepath.Path) (*node, error) {
	if s.compressed != nil {
		file, err := s.compressed.NarInfo(ctx, p)
		if err != nil {
			return nil, err
		}
		return newNode(p, &file.PathInfo, file)
	}
	info, err := s.PathInfo(ctx, p)
	if err != nil {
		return nil, err
	}
	return newNode(p, info, nil)
}

func newNode(p storepath.Path, info *narinfo.PathInfo, file *narinfo.NarInfo) (*node, error) {
	if info.Path != p {
		return nil, fmt.Errorf("%w: expected the description of %s, got that of %s", ErrMismatch, p, info.Path)
	}
	if info.NarHash.IsZero() || info.NarSize <= 0 {
		return nil, errors.New("expected a NarHash and a NarSize from the source, which verify and bound the archive")
	}
	return &node{info: info, file: file}, nil
}

// trust fails with ErrUntrusted unless the path may be copied.
func (s *copySource) trust(info *narinfo.PathInfo) error {
	if s.trusting != nil {
		if _, err := s.trusting.Trust(info); err != nil {
			return err
		}
	}
	if len(s.opts.TrustedKeys) > 0 {
		return checkTrust(s.opts.TrustedKeys, info)
	}
	return nil
}

// requiresStrict reports whether the path's content address has to hold in the
// strict form.
func (s *copySource) requiresStrict(info *narinfo.PathInfo) bool {
	if s.trusting != nil {
		if strict, _ := s.trusting.Trust(info); strict {
			return true
		}
	}
	return requiresStrict(s.opts.TrustedKeys, info)
}
