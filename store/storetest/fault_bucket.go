package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"example.com/nixs3/store/blob"
)

// FaultBucket is a bucket that logs the operations on it and fails as planned.
// It has the optional interfaces of the wrapped bucket, as [blob.Intercept]
// gives them. Stage is neither logged nor failed; the Commit that follows is.
type FaultBucket struct {
	blob.Wrapper

	mu   sync.Mutex
	plan Plan
	log  []*Operation
}

// NewFaultBucket wraps a bucket. With a nil plan nothing fails.
func NewFaultBucket(b blob.Bucket, plan Plan) *FaultBucket {
	f := &FaultBucket{plan: plan}
	f.Wrapper = blob.Intercept(b, f.around)
	return f
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

// Count returns the number of operations with one of the names, or of all
// operations without an argument.
func (b *FaultBucket) Count(ops ...string) int {
	n := 0
	for _, op := range b.Log() {
		if len(ops) == 0 || slices.Contains(ops, op.Op) {
			n++
		}
	}
	return n
}

func (b *FaultBucket) around(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
	if call.Op == "Stage" {
		return do(ctx)
	}
	op := b.begin(call)
	err := op.Fault.apply(ctx, call, do)
	if described := (*blob.Error)(nil); err != nil && !errors.As(err, &described) {
		err = &blob.Error{Op: call.Op, Bucket: b.String(), Key: call.Key, Err: err}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	op.Done, op.Err = true, err
	return err
}

// begin logs an operation with the fault that is planned for it.
func (b *FaultBucket) begin(call *blob.Call) *Operation {
	op := &Operation{Op: call.Op, Key: call.Key, Keys: slices.Clone(call.Keys), Put: call.Put, Get: call.Get, Size: call.Size}
	b.mu.Lock()
	defer b.mu.Unlock()
	op.Index = len(b.log)
	if b.plan != nil {
		op.Fault = b.plan(*op)
		if !slices.Contains(kinds, op.Fault.Kind) {
			panic(fmt.Sprintf("storetest: unknown kind of fault %q", op.Fault.Kind))
		}
	}
	b.log = append(b.log, op)
	return op
}

// apply performs a call with the fault.
func (f Fault) apply(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
	if f.Err == nil {
		f.Err = ErrInjected
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	switch {
	case f.Kind == "error", f.Kind == "lost" && call.Op == "Get":
		return f.Err
	case f.Kind == "hang":
		<-ctx.Done()
		return context.Cause(ctx)
	case call.Op == "Get":
		return f.open(ctx, call, do)
	case f.Kind == "reset", f.Kind == "truncate":
		return f.reset(ctx, call, do)
	}
	if err := do(ctx); err != nil || f.Kind != "lost" {
		return err
	}
	return f.Err
}

// reset breaks an operation other than Get after a part of its work.
func (f Fault) reset(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
	switch call.Op {
	case "Put":
		io.CopyN(io.Discard, io.NewSectionReader(call.Content, 0, call.Size), f.After)
	case "Delete":
		call.Keys = call.Keys[:min(int(f.After), len(call.Keys))]
		if err := do(ctx); err != nil {
			return err
		}
	case "List", "Uploads":
		left := f.After
		call.Each = func(string) error {
			if left--; left < 0 {
				return f.Err
			}
			return nil
		}
		if err := do(ctx); err != nil {
			return err
		}
	}
	return f.Err
}

// open performs a Get and gives its body the fault.
func (f Fault) open(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
	if err := do(ctx); err != nil {
		return err
	}
	obj := call.Object
	broken := func(err error) *blob.Error { return &blob.Error{Op: "Get", Key: call.Key, Err: err} }
	switch f.Kind {
	case "reset":
		obj.Body = &brokenBody{obj.Body, f.After, broken(f.Err)}
	case "truncate":
		obj.Body = &brokenBody{obj.Body, f.After, broken(io.ErrUnexpectedEOF)}
	case "lie":
		obj.Body = &brokenBody{obj.Body, f.After, io.EOF}
	case "corrupt":
		obj.Body = &corruptBody{obj.Body, f.After}
	}
	return nil
}

// brokenBody fails after some bytes, or at the end if the body ends earlier.
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

// corruptBody changes the byte after the rest.
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
