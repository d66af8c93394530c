package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"example.com/nixs3/store/blob"
)

// ErrInjected is what injected failures wrap unless they say otherwise.
var ErrInjected = errors.New("injected fault")

// FaultKind is a way in which an operation of a [FaultBucket] fails.
type FaultKind uint8

const (
	NoFault FaultKind = iota

	// FaultError fails with Fault.Err before anything is done.
	FaultError

	// FaultLost does the work and then fails with Fault.Err, as when the answer
	// of a server does not arrive. A Get of that kind is a FaultError.
	FaultLost

	// FaultReset lets a body fail with Fault.Err after Fault.After bytes, and
	// a List after that many objects. Other operations fail as FaultError does,
	// but a Put has read After bytes of the content before.
	FaultReset

	// FaultTruncate ends a body after Fault.After bytes with
	// io.ErrUnexpectedEOF, as blob.Bucket promises of one that is too short.
	// Operations other than Get fail as FaultReset does.
	FaultTruncate

	// FaultLie ends a body after Fault.After bytes with io.EOF, which no good
	// driver does. Operations other than Get do their work.
	FaultLie

	// FaultCorrupt changes the byte at Fault.After of a body. Operations other
	// than Get do their work.
	FaultCorrupt

	// FaultHang does nothing until the context is done, then fails with its
	// cause.
	FaultHang
)

// Fault is what happens to an operation. The zero value is nothing.
type Fault struct {
	Kind  FaultKind
	Err   error         // nil means ErrInjected
	After int64         // see FaultKind
	Delay time.Duration // before all else
}

// Operation is a call of a method of a [FaultBucket], and what became of it.
type Operation struct {
	Index int    // from 0, in the order of the calls
	Op    string // "Get", "Head", "Put", "Delete", "List", "Commit"
	Key   string // the prefix of List, the first key of Delete
	Keys  []string
	Put   blob.PutOptions // of Put and Commit
	Get   blob.GetOptions
	Size  int64 // of the content of Put
	Fault Fault // that was injected

	Done bool  // the call returned; for Get and List, the body or the iteration is not meant
	Err  error // it returned
}

// Plan decides what happens to an operation. It is called under a lock, for
// one operation after the other.
type Plan func(op Operation) Fault

// FailAt is a plan that lets the n-th operation fail, counted from 0.
func FailAt(n int, f Fault) Plan {
	return func(op Operation) Fault {
		if op.Index == n {
			return f
		}
		return Fault{}
	}
}

// FailFrom is a plan that lets the n-th operation fail and all that follow, as
// when the process or the network ends there.
func FailFrom(n int, f Fault) Plan {
	return func(op Operation) Fault {
		if op.Index >= n {
			return f
		}
		return Fault{}
	}
}

// FaultBucket is a bucket that logs what it is asked for and fails as planned.
// It hides what else the bucket behind it implements; [StagingFaultBucket] does
// not hide blob.Stager.
type FaultBucket struct {
	inner blob.Bucket

	mu   sync.Mutex
	plan Plan
	log  []*Operation
}

var _ blob.Bucket = (*FaultBucket)(nil)

// NewFaultBucket wraps a bucket. A nil plan is no faults.
func NewFaultBucket(b blob.Bucket, plan Plan) *FaultBucket {
	return &FaultBucket{inner: b, plan: plan}
}

// SetPlan replaces the plan. Indexes go on.
func (b *FaultBucket) SetPlan(plan Plan) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.plan = plan
}

// Log returns a copy of the operations so far.
func (b *FaultBucket) Log() []Operation {
	b.mu.Lock()
	defer b.mu.Unlock()
	log := make([]Operation, len(b.log))
	for i, op := range b.log {
		log[i] = *op
	}
	return log
}

// ResetLog forgets the operations. Indexes begin again.
func (b *FaultBucket) ResetLog() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = nil
}

// Count returns how many operations of the names there were; of all without an
// argument.
func (b *FaultBucket) Count(ops ...string) int {
	n := 0
	for _, op := range b.Log() {
		if len(ops) == 0 || slices.Contains(ops, op.Op) {
			n++
		}
	}
	return n
}

// begin logs an operation and waits for what is planned.
func (b *FaultBucket) begin(ctx context.Context, op Operation) (*Operation, Fault, error) {
	b.mu.Lock()
	op.Index = len(b.log)
	if b.plan != nil {
		op.Fault = b.plan(op)
	}
	logged := &op
	b.log = append(b.log, logged)
	f := op.Fault
	b.mu.Unlock()

	if f.Err == nil {
		f.Err = ErrInjected
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return logged, f, b.fail(logged, context.Cause(ctx))
		}
	}
	switch f.Kind {
	case FaultError:
		return logged, f, b.fail(logged, f.Err)
	case FaultHang:
		<-ctx.Done()
		return logged, f, b.fail(logged, context.Cause(ctx))
	}
	return logged, f, nil
}

// fail makes the error of an operation.
func (b *FaultBucket) fail(op *Operation, err error) error {
	return b.end(op, &blob.Error{Op: op.Op, Bucket: b.String(), Key: op.Key, Err: err})
}

// end logs the outcome.
func (b *FaultBucket) end(op *Operation, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	op.Done, op.Err = true, err
	return err
}

// lost is the end of an operation whose answer may get lost.
func (b *FaultBucket) lost(op *Operation, f Fault, err error) error {
	if err == nil && f.Kind == FaultLost {
		return b.fail(op, f.Err)
	}
	return b.end(op, err)
}

// breaks tells whether a fault that is made for bodies fails another operation.
func (f Fault) breaks() bool { return f.Kind == FaultReset || f.Kind == FaultTruncate }

func (b *FaultBucket) String() string { return b.inner.String() }

func (b *FaultBucket) Close() error { return b.inner.Close() }

func (b *FaultBucket) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	op, f, err := b.begin(ctx, Operation{Op: "Get", Key: key, Get: opts})
	if err != nil {
		return nil, err
	}
	if f.Kind == FaultLost {
		return nil, b.fail(op, f.Err)
	}
	obj, err := b.inner.Get(ctx, key, opts)
	if b.end(op, err) != nil {
		return nil, err
	}
	switch f.Kind {
	case FaultReset:
		err = &blob.Error{Op: "Get", Bucket: b.String(), Key: key, Err: f.Err}
	case FaultTruncate:
		err = &blob.Error{Op: "Get", Bucket: b.String(), Key: key, Err: io.ErrUnexpectedEOF}
	case FaultLie:
		err = io.EOF
	case FaultCorrupt:
		obj.Body = &corruptBody{ReadCloser: obj.Body, rest: f.After}
		return obj, nil
	default:
		return obj, nil
	}
	obj.Body = &brokenBody{ReadCloser: obj.Body, rest: f.After, err: err}
	return obj, nil
}

// brokenBody fails after some bytes, also where it ends there by itself.
type brokenBody struct {
	io.ReadCloser
	rest int64
	err  error
}

func (r *brokenBody) Read(p []byte) (int, error) {
	if r.rest <= 0 {
		return 0, r.err
	}
	n, err := r.ReadCloser.Read(p[:min(int64(len(p)), r.rest)])
	r.rest -= int64(n)
	if err == io.EOF {
		err = r.err
	}
	return n, err
}

// corruptBody changes the byte behind the rest.
type corruptBody struct {
	io.ReadCloser
	rest int64
}

func (r *corruptBody) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if r.rest >= 0 && r.rest < int64(n) {
		p[r.rest] ^= 1
	}
	r.rest -= int64(n)
	return n, err
}

func (b *FaultBucket) Head(ctx context.Context, key string) (blob.Attrs, error) {
	op, f, err := b.begin(ctx, Operation{Op: "Head", Key: key})
	if err != nil {
		return blob.Attrs{}, err
	}
	if f.breaks() {
		return blob.Attrs{}, b.fail(op, f.Err)
	}
	attrs, err := b.inner.Head(ctx, key)
	if err := b.lost(op, f, err); err != nil {
		return blob.Attrs{}, err
	}
	return attrs, nil
}

func (b *FaultBucket) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	op, f, err := b.begin(ctx, Operation{Op: "Put", Key: key, Put: opts, Size: content.Size()})
	if err != nil {
		return blob.Attrs{}, err
	}
	if f.breaks() {
		io.CopyN(io.Discard, io.NewSectionReader(content, 0, content.Size()), f.After)
		return blob.Attrs{}, b.fail(op, f.Err)
	}
	attrs, err := b.inner.Put(ctx, key, content, opts)
	if err := b.lost(op, f, err); err != nil {
		return blob.Attrs{}, err
	}
	return attrs, nil
}

// Delete fails with FaultReset after After keys were deleted.
func (b *FaultBucket) Delete(ctx context.Context, keys ...string) error {
	described := Operation{Op: "Delete", Keys: slices.Clone(keys)}
	if len(keys) > 0 {
		described.Key = keys[0]
	}
	op, f, err := b.begin(ctx, described)
	if err != nil {
		return err
	}
	if f.breaks() {
		done := min(int(f.After), len(keys))
		if err := b.inner.Delete(ctx, keys[:done]...); err != nil {
			return b.end(op, err)
		}
		return b.fail(op, f.Err)
	}
	return b.lost(op, f, b.inner.Delete(ctx, keys...))
}

func (b *FaultBucket) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		op, f, err := b.begin(ctx, Operation{Op: "List", Key: opts.Prefix})
		if err != nil {
			yield(blob.Attrs{}, err)
			return
		}
		var yielded int64
		for attrs, err := range b.inner.List(ctx, opts) {
			if f.breaks() && yielded >= f.After {
				break
			}
			if !yield(attrs, err) || err != nil {
				b.end(op, err)
				return
			}
			yielded++
		}
		if f.breaks() || f.Kind == FaultLost {
			yield(blob.Attrs{}, b.fail(op, f.Err))
			return
		}
		b.end(op, nil)
	}
}

// String describes an operation for messages of tests.
func (op Operation) String() string {
	return fmt.Sprintf("%d: %s %q", op.Index, op.Op, op.Key)
}
