package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/graph"
)

const (
	// transferWorkers bounds the goroutines that move archives. The budgets of
	// source and destination bound those that do so at a time.
	transferWorkers = 256

	// publishWorkers bounds the goroutines that publish paths.
	publishWorkers = 64
)

// transfer moves archives and publishes paths. Workers take the archives in the
// order of the plan. A path whose archive is stored and whose references are
// published waits in a queue for separate workers: publishing is one small
// request, and does not delay the workers for archives.
type transfer struct {
	dst     Destination
	there   ServiceCopier // or nil
	src     *copySource
	opts    CopyOptions
	session *Session // or nil
	ctx     context.Context
	cancel  context.CancelCauseFunc

	todo []*node
	next atomic.Int64
	done *progressCounters

	mu     sync.Mutex // guards what follows
	nodes  map[storepath.Path]*transferNode
	links  *graph.Links
	left   int // nodes that are neither published nor failed
	ready  []*transferNode
	wake   *sync.Cond // ready or left has changed, or the end was called
	failed []*CopyError
}

// transferNode is a node on its way.
type transferNode struct {
	*node
	pending Pending // once the archive is stored
	queued  bool    // for publishing
	over    bool    // published or failed
}

func newTransfer(dst Destination, src *copySource, opts CopyOptions, session *Session, todo []*node, done *progressCounters) *transfer {
	t := &transfer{
		dst: dst, src: src, opts: opts, session: session, todo: todo, done: done,
		nodes: make(map[storepath.Path]*transferNode, len(todo)), left: len(todo),
	}
	t.there, _ = dst.(ServiceCopier)
	t.wake = sync.NewCond(&t.mu)
	return t
}

// run sends the nodes and adds the outcome to the report. Without KeepGoing it
// fails with the first failure.
func (t *transfer) run(ctx context.Context, report *CopyReport) error {
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	defer t.cancel(nil)
	defer context.AfterFunc(t.ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.wake.Broadcast()
	})()
	t.begin()
	if t.opts.DryRun {
		report.Failed = append(report.Failed, t.failed...)
		return nil
	}
	stop := t.done.watch(t.opts.Progress)

	var workers sync.WaitGroup
	for range min(len(t.todo), transferWorkers) {
		workers.Go(t.store)
	}
	for range min(len(t.todo), publishWorkers) {
		workers.Go(t.publish)
	}
	workers.Wait()
	stop()

	copied := int(t.done.paths.Load())
	report.Copied += copied
	report.NARBytes += t.done.narBytes.Load()
	report.FileBytes += t.done.fileBytes.Load()
	report.BytesWritten += t.done.progress().BytesWritten
	report.Failed = append(report.Failed, t.failed...)
	if copied == len(t.todo) {
		return nil
	}
	return context.Cause(t.ctx)
}

// begin counts the nodes, and gives up those that cannot be copied.
func (t *transfer) begin() {
	t.links = graph.Link(slices.Values(t.todo))
	for _, n := range t.todo {
		t.nodes[n.info.Path] = &transferNode{node: n}
		t.done.total.PathsTotal++
		t.done.total.NARBytesTotal += n.info.NarSize
		t.done.total.FileBytesTotal += n.fileSize()
	}
	for _, n := range t.todo {
		if n.err != nil {
			t.fail(n.info.Path, n.err)
		}
	}
}

// store stores archives until there are no more.
func (t *transfer) store() {
	for t.ctx.Err() == nil {
		i := t.next.Add(1) - 1
		if i >= int64(len(t.todo)) {
			return
		}
		n := t.nodes[t.todo[i].info.Path]
		if t.isOver(n) {
			continue // a reference has failed
		}
		pending, err := t.prepare(n.node)
		t.mu.Lock()
		if err != nil {
			t.fail(n.info.Path, err)
		} else {
			n.pending = pending
			t.done.narBytes.Add(pending.NarInfo().NarSize)
			t.enqueue(n)
		}
		t.mu.Unlock()
	}
}

func (t *transfer) isOver(n *transferNode) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.over
}

// enqueue queues a node for publishing if nothing else delays it. The lock is
// held.
func (t *transfer) enqueue(n *transferNode) {
	if n.pending == nil || n.queued || n.over || !t.links.Ready(n.info.Path) {
		return
	}
	n.queued = true
	t.ready = append(t.ready, n)
	t.wake.Signal()
}

// publish publishes nodes until all are over.
func (t *transfer) publish() {
	for {
		n := t.nextReady()
		if n == nil {
			return
		}
		err := n.pending.Publish(t.ctx)
		t.mu.Lock()
		if err != nil {
			t.fail(n.info.Path, err)
		} else {
			t.published(n)
		}
		t.mu.Unlock()
	}
}

// nextReady waits for a node to publish. It returns nil after the last one.
func (t *transfer) nextReady() *transferNode {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.ready) == 0 && t.left > 0 && t.ctx.Err() == nil {
		t.wake.Wait()
	}
	if len(t.ready) == 0 || t.ctx.Err() != nil {
		return nil
	}
	n := t.ready[0]
	t.ready = t.ready[1:]
	return n
}

// published notes that a node is visible. The lock is held.
func (t *transfer) published(n *transferNode) {
	n.over, n.node.published, n.pending = true, true, nil
	t.done.paths.Add(1)
	t.finish()
	for _, user := range t.links.Done(n.info.Path) {
		t.enqueue(t.nodes[user])
	}
}

// fail gives up a path and all its referrers. The lock is held, or no other
// goroutine is running.
func (t *transfer) fail(p storepath.Path, err error) {
	if t.ctx.Err() != nil {
		return // failures after the end was called are its consequences
	}
	type failure struct {
		path storepath.Path
		err  error
	}
	queue := []failure{{p, err}}
	for len(queue) > 0 {
		f := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		n := t.nodes[f.path]
		if n.over {
			continue
		}
		n.over, n.pending = true, nil
		t.finish()
		failed := &CopyError{f.path, f.err}
		t.failed = append(t.failed, failed)
		if !t.opts.KeepGoing {
			t.cancel(failed)
			return
		}
		for _, user := range t.links.Users(f.path) {
			queue = append(queue, failure{user, fmt.Errorf("its reference %s could not be copied", t.src.StoreDir().Join(f.path))})
		}
	}
}

// finish counts a node that is over. The lock is held.
func (t *transfer) finish() {
	if t.left--; t.left == 0 {
		t.wake.Broadcast()
	}
}

// prepare stores the archive of a node.
func (t *transfer) prepare(n *node) (Pending, error) {
	opts := AddOptions{
		Repair: t.opts.Repair, Signers: t.opts.Signers, Session: t.session, ReferencesPresent: !t.opts.NoClosure,
		StrictContentAddress: t.src.requiresStrict(n.info),
	}
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	if n.file == nil {
		open := t.src.NAR
		if t.src.unverified != nil {
			open = t.src.unverified.UnverifiedNAR
		}
		return t.prepareFrom(ctx, cancel, n, opts, func() (io.ReadCloser, error) { return open(ctx, n.info.Path) })
	}
	opts.Encoded = n.file
	verify := t.opts.Verify
	if !n.info.CA.IsZero() && !signedBy(t.opts.TrustedKeys, n.info) {
		verify = VerifyContents
	}
	opts.TrustNarHash = verify != VerifyContents
	if verify == VerifyNothing && t.there != nil {
		p, err := t.there.PrepareCopy(ctx, t.src.Source, n.file, opts)
		if !errors.Is(err, errors.ErrUnsupported) {
			return p, err
		}
	}
	return t.prepareFrom(ctx, cancel, n, opts, func() (io.ReadCloser, error) { return t.src.compressed.OpenCompressed(ctx, n.file) })
}

func (t *transfer) prepareFrom(ctx context.Context, cancel context.CancelCauseFunc, n *node, opts AddOptions, open func() (io.ReadCloser, error)) (Pending, error) {
	r, err := open()
	if err != nil {
		return nil, (&archiveError{err: err}).from(t.src, n)
	}
	defer r.Close()
	if opts.Encoded != nil {
		opts.Encoded = fileClaims(opts.Encoded, r)
	}
	counted, end := t.done.moving(n, r)
	defer end()
	pending, err := t.dst.Prepare(ctx, n.info, interruptible(counted, cancel), opts)
	if e, ok := errors.AsType[*archiveError](err); ok {
		err = e.from(t.src, n)
	}
	return pending, err
}

// interruptible returns an archive of the source as an Interrupter: it ends the
// context with which the archive was opened. It keeps the WriteTo of a reader
// that has one.
func interruptible(r io.Reader, cancel context.CancelCauseFunc) io.Reader {
	a := sourceArchive{r, cancel}
	if w, ok := r.(io.WriterTo); ok {
		return struct {
			sourceArchive
			io.WriterTo
		}{a, w}
	}
	return a
}

type sourceArchive struct {
	io.Reader
	cancel context.CancelCauseFunc
}

// Interrupt implements Interrupter.
func (a sourceArchive) Interrupt(err error) { a.cancel(err) }
