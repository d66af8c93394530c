package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// transfer moves the archives and publishes the paths. Workers take archives
// off the plan in its order; whatever they have stored is published as soon as
// its references are, by a goroutine of its own, since that is one small
// request and the workers have better things to do.
type transfer struct {
	*copier
	ctx    context.Context
	cancel context.CancelCauseFunc
	todo   []*node
	next   atomic.Int64
	wg     sync.WaitGroup // publishers

	mu   sync.Mutex // guards the nodes and the report
	done progressCounters
}

type progressCounters struct {
	paths               atomic.Int64
	narBytes, fileBytes atomic.Int64
	total               Progress
}

// progress reads the counters. It takes no lock, so it holds nobody up.
func (t *transfer) progress() Progress {
	now := t.done.total
	now.Paths = int(t.done.paths.Load())
	now.NARBytes, now.FileBytes = t.done.narBytes.Load(), t.done.fileBytes.Load()
	if counting, ok := t.dst.(interface{ Stats() Stats }); ok {
		now.Requests = counting.Stats().Requests()
	}
	return now
}

// transferWorkers bounds the goroutines that move archives. How many do so at
// a time is for the two budgets to say.
const transferWorkers = 256

func (c *copier) transfer(ctx context.Context, todo []*node) error {
	t := &transfer{copier: c, todo: todo}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	defer t.cancel(nil)
	t.link()
	if c.opts.DryRun {
		return nil
	}
	defer t.watch()()

	var workers sync.WaitGroup
	for range min(len(todo), transferWorkers) {
		workers.Go(t.work)
	}
	workers.Wait()
	t.wg.Wait()

	c.report.Copied = int(t.done.paths.Load())
	c.report.NARBytes, c.report.FileBytes = t.done.narBytes.Load(), t.done.fileBytes.Load()
	if c.report.Copied == len(todo) {
		return nil
	}
	return context.Cause(t.ctx)
}

// link counts for each node the references that it has to wait for.
func (t *transfer) link() {
	g := make(graph, len(t.todo))
	for _, n := range t.todo {
		g[n.info.Path] = n
		t.done.total.PathsTotal++
		t.done.total.NARBytesTotal += n.info.NarSize
		t.done.total.FileBytesTotal += n.fileSize()
	}
	for _, n := range t.todo {
		for _, ref := range n.references() {
			if r := g[ref]; r != nil {
				n.waiting++
				r.users = append(r.users, n)
			}
		}
	}
	for _, n := range t.todo {
		if n.err != nil {
			t.fail(n, n.err)
		}
	}
}

// watch reports progress until the function that it returns is called.
func (t *transfer) watch() (stop func()) {
	report := t.opts.Progress
	if report == nil {
		return func() {}
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				report(t.progress())
			case <-quit:
				report(t.progress())
				return
			}
		}
	}()
	return func() { close(quit); <-gone }
}

// work stores archives until there are no more.
func (t *transfer) work() {
	for t.ctx.Err() == nil {
		i := t.next.Add(1) - 1
		if i >= int64(len(t.todo)) {
			return
		}
		n := t.todo[i]
		if t.isDone(n) {
			continue // a reference has failed
		}
		pending, err := t.prepare(n)
		t.mu.Lock()
		switch {
		case err != nil:
			t.fail(n, err)
		case !n.done:
			n.pending = pending
			t.done.narBytes.Add(pending.NarInfo().NarSize)
			t.publishIfReady(n)
		}
		t.mu.Unlock()
	}
}

func (t *transfer) isDone(n *node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.done
}

// prepare stores the archive of a node.
func (t *transfer) prepare(n *node) (Pending, error) {
	opts := AddOptions{Repair: t.opts.Repair, Signers: t.opts.Signers, ReferencesPresent: !t.opts.NoClosure}
	opts.StrictContentAddress = requiresStrict(t.opts.TrustedKeys, n.info)
	if src, ok := t.src.(*Cache); ok && src.requiresStrict(n.info) {
		opts.StrictContentAddress = true // its OpenFile does not verify
	}
	if n.file == nil {
		open := t.src.NAR
		if u, ok := t.src.(UnverifiedSource); ok {
			open = u.UnverifiedNAR
		}
		r, err := open(t.ctx, n.info.Path)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return t.dst.Prepare(t.ctx, n.info, tallied(r, &t.done.fileBytes), opts)
	}
	opts.Encoded = n.file
	verify := t.opts.Verify
	if !n.info.CA.IsZero() && !signedBy(t.opts.TrustedKeys, n.info) {
		verify = VerifyContents
	}
	opts.TrustNarHash = verify != VerifyContents
	if verify == VerifyNothing {
		if p, err := t.copyThere(n, opts); p != nil || err != nil {
			return p, err
		}
	}
	r, err := t.src.(BinaryCacheStore).OpenFile(t.ctx, n.file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return t.dst.Prepare(t.ctx, n.info, tallied(r, &t.done.fileBytes), opts)
}

// copyThere has the service of both caches copy an archive. It returns nothing
// where they have none in common.
func (t *transfer) copyThere(n *node, opts AddOptions) (Pending, error) {
	dst, ok := t.dst.(*Cache)
	src, ok2 := t.src.(*Cache)
	if !ok || !ok2 {
		return nil, nil
	}
	return dst.prepareCopy(t.ctx, src, n.file, opts)
}

// publishIfReady publishes a node that waits for nothing more. The lock is held.
func (t *transfer) publishIfReady(n *node) {
	if n.pending == nil || n.waiting > 0 || n.done {
		return
	}
	n.done = true
	t.wg.Go(func() {
		err := n.pending.Publish(t.ctx)
		t.mu.Lock()
		defer t.mu.Unlock()
		if err != nil {
			n.done = false
			t.fail(n, err)
			return
		}
		t.done.paths.Add(1)
		for _, user := range n.users {
			user.waiting--
			t.publishIfReady(user)
		}
	})
}

// fail gives a node up, and all that need it. The lock is held, or nobody else
// is about.
func (t *transfer) fail(n *node, err error) {
	if n.done || t.ctx.Err() != nil {
		return // what fails after the end was called does so because of it
	}
	n.done = true
	failure := &PathError{n.info.Path, err}
	t.report.Failed = append(t.report.Failed, failure)
	if !t.opts.KeepGoing {
		t.cancel(failure)
	}
	for _, user := range n.users {
		t.fail(user, fmt.Errorf("its reference %s could not be copied", n.info.Path))
	}
}
