package store

import (
	"context"
	"io"
	"iter"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"example.com/nixs3/store/blob"
)

// Budget bounds what all that runs through one Cache may use at a time. The
// zero value of a field is its default.
type Budget struct {
	// Memory in bytes that codecs and their buffers may hold, in three parts:
	// 15/32 for compressing, 12/32 for decompressing and 5/32 for decompressing
	// on several cores. An archive that needs more than its part of the budget
	// runs alone. Default 128 MiB, which is enough to compress one archive on
	// three cores and to read four at a time. Beside it every transfer holds at
	// most 2 MiB, and a stream whose window is larger than the usual 8 MiB what
	// it asks for: 128 MiB at the most.
	Memory int64

	// Transfers is how many archives are read at a time, and how many are
	// written. One that is open for reading counts until it is read to its
	// end or closed. Default 16.
	Transfers int

	// Requests is how many requests are under way at a time, those of the
	// transfers included. An upload or download in parts counts as one, and
	// listings do not count. Default 64.
	Requests int
}

func (b *Budget) setDefaults() {
	if b.Memory <= 0 {
		b.Memory = 128 << 20
	}
	if b.Transfers <= 0 {
		b.Transfers = 16
	}
	if b.Requests <= 0 {
		b.Requests = 64
	}
}

func (b Budget) encoding() int64 { return b.Memory / 32 * 15 }
func (b Budget) decoding() int64 { return b.Memory / 32 * 12 }
func (b Budget) ahead() int64    { return b.Memory / 32 * 5 }

// gate is a semaphore whose weights are cut to its size, so that what is
// larger than all of it runs alone instead of never.
type gate struct {
	sem  *semaphore.Weighted
	size int64
}

func newGate(size int64) *gate { return &gate{semaphore.NewWeighted(size), size} }

// enter waits for its turn and returns what ends it, which may be called more
// than once and by any goroutine.
func (g *gate) enter(ctx context.Context, weight int64) (leave func(), err error) {
	weight = min(max(weight, 0), g.size)
	if err := g.sem.Acquire(ctx, weight); err != nil {
		return nil, context.Cause(ctx)
	}
	return sync.OnceFunc(func() { g.sem.Release(weight) }), nil
}

// try takes a place if one is free now, and tells whether it has. One who wants
// nothing gets nothing.
func (g *gate) try(weight int64) (leave func(), ok bool) {
	if weight <= 0 || !g.sem.TryAcquire(weight) {
		return func() {}, false
	}
	return sync.OnceFunc(func() { g.sem.Release(weight) }), true
}

// Stats count what a Cache has asked of its bucket since it was opened. What a
// driver makes of one call, parts and repetitions, counts as one.
type Stats struct {
	Gets, Heads, Puts, Deletes, Lists int64 // requests; Lists counts listings begun
	BytesRead, BytesWritten           int64 // of objects, as stored
}

// Requests is the sum of all requests.
func (s Stats) Requests() int64 { return s.Gets + s.Heads + s.Puts + s.Deletes + s.Lists }

type counters struct {
	gets, heads, puts, deletes, lists, read, written atomic.Int64
}

func (c *counters) stats() Stats {
	return Stats{
		Gets: c.gets.Load(), Heads: c.heads.Load(), Puts: c.puts.Load(), Deletes: c.deletes.Load(),
		Lists: c.lists.Load(), BytesRead: c.read.Load(), BytesWritten: c.written.Load(),
	}
}

// metered is a bucket behind a gate for its requests, with counters. A body
// that is being read holds no place: transfers have a gate of their own.
type metered struct {
	blob.Bucket
	requests *gate
	counters
}

func (m *metered) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	return m.open(ctx, func() (*blob.Object, error) { return m.Bucket.Get(ctx, key, opts) })
}

// GetRef opens what a narinfo's URL refers to.
func (m *metered) GetRef(ctx context.Context, ref string, opts blob.GetOptions) (*blob.Object, error) {
	if r, ok := blob.As[blob.Referrer](m.Bucket); ok {
		return m.open(ctx, func() (*blob.Object, error) { return r.GetRef(ctx, ref, opts) })
	}
	key, err := refKey(ref)
	if err != nil {
		return nil, &blob.Error{Op: "Get", Bucket: m.String(), Key: ref, Err: err}
	}
	return m.Get(ctx, key, opts)
}

func (m *metered) open(ctx context.Context, get func() (*blob.Object, error)) (*blob.Object, error) {
	leave, err := m.requests.enter(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer leave()
	m.gets.Add(1)
	obj, err := get()
	if err != nil {
		return nil, err
	}
	obj.Body = struct {
		io.Reader
		io.Closer
	}{tallied(obj.Body, &m.read), obj.Body}
	return obj, nil
}

func (m *metered) Head(ctx context.Context, key string) (blob.Attrs, error) {
	leave, err := m.requests.enter(ctx, 1)
	if err != nil {
		return blob.Attrs{}, err
	}
	defer leave()
	m.heads.Add(1)
	return m.Bucket.Head(ctx, key)
}

func (m *metered) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	leave, err := m.requests.enter(ctx, 1)
	if err != nil {
		return blob.Attrs{}, err
	}
	defer leave()
	m.puts.Add(1)
	attrs, err := m.Bucket.Put(ctx, key, content, opts)
	if err == nil {
		m.written.Add(content.Size())
	}
	return attrs, err
}

func (m *metered) Delete(ctx context.Context, keys ...string) error {
	leave, err := m.requests.enter(ctx, 1)
	if err != nil {
		return err
	}
	defer leave()
	m.deletes.Add(1)
	return m.Bucket.Delete(ctx, keys...)
}

func (m *metered) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	m.lists.Add(1)
	return m.Bucket.List(ctx, opts)
}

// meteredStaged counts a staged object as the Put that it stands for.
type meteredStaged struct {
	blob.Staged
	c *counters
	n int64
}

func (m *meteredStaged) Write(p []byte) (int, error) {
	n, err := m.Staged.Write(p)
	m.n += int64(n)
	return n, err
}

func (m *meteredStaged) Commit(key string, opts blob.PutOptions) (blob.Attrs, error) {
	m.c.puts.Add(1)
	attrs, err := m.Staged.Commit(key, opts)
	if err == nil {
		m.c.written.Add(m.n)
	}
	return attrs, err
}
