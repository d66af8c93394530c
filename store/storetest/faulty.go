package storetest

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"

	"example.com/nixs3/store/blob"
)

// Fault is what happens to one operation on a Faulty bucket.
type Fault uint8

// The faults that an operation can meet.
const (
	NoFault Fault = iota

	// Refused fails before anything is done.
	Refused

	// Lost is done, and then fails: the answer went astray. Of an operation
	// that reads it breaks the body or the listing half-way.
	Lost

	// Hung does nothing until its context ends.
	Hung

	// Killed fails this operation like Refused, and every later one: the
	// process is gone.
	Killed
)

// ErrInjected is what an operation fails with that met a fault.
var ErrInjected = errors.New("injected fault")

// Operation is one operation on a Faulty bucket.
type Operation struct {
	Name string // of the method: "Get", "Head", "Put", "Delete" or "List"
	Key  string // the first, where there are several; the prefix of a List
	Size int64  // of what is put
	Err  error  // how it ended
}

// Faulty is a bucket whose operations meet faults, and that keeps a log of
// them. It has none of the optional interfaces, so all goes through it. It is
// safe for concurrent use.
type Faulty struct {
	bucket blob.Bucket
	fault  func(index int, op Operation) Fault

	mu     sync.Mutex
	log    []Operation
	killed bool
}

// NewFaulty returns a bucket that asks fault, unless it is nil, what happens to
// the operation with an index, counted from 0.
func NewFaulty(b blob.Bucket, fault func(index int, op Operation) Fault) *Faulty {
	return &Faulty{bucket: b, fault: fault}
}

// FaultAt returns a function for NewFaulty by which the operation with an index
// meets a fault and no other does.
func FaultAt(index int, f Fault) func(int, Operation) Fault {
	return func(i int, _ Operation) Fault {
		if i == index {
			return f
		}
		return NoFault
	}
}

// Log returns the operations so far.
func (f *Faulty) Log() []Operation {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Operation(nil), f.log...)
}

// do runs an operation as its fault wills.
func (f *Faulty) do(ctx context.Context, op Operation, run func(half bool) error) error {
	f.mu.Lock()
	index := len(f.log)
	f.log = append(f.log, op)
	fault := NoFault
	if f.fault != nil {
		fault = f.fault(index, op)
	}
	if fault == Killed {
		f.killed = true
	}
	if f.killed {
		fault = Killed
	}
	f.mu.Unlock()

	err := f.meet(ctx, fault, op, run)
	f.mu.Lock()
	f.log[index].Err = err
	f.mu.Unlock()
	return err
}

func (f *Faulty) meet(ctx context.Context, fault Fault, op Operation, run func(half bool) error) error {
	injected := &blob.Error{Op: op.Name, Bucket: f.String(), Key: op.Key, Err: ErrInjected}
	reads := op.Name == "Get" || op.Name == "List"
	switch {
	case fault == Refused || fault == Killed:
		return injected
	case fault == Hung:
		<-ctx.Done()
		return context.Cause(ctx)
	case fault == Lost && reads:
		return run(true)
	case fault == Lost:
		if err := run(false); err != nil {
			return err
		}
		return injected
	}
	return run(false)
}

// String describes the bucket below.
func (f *Faulty) String() string { return f.bucket.String() }

// Close closes the bucket below.
func (f *Faulty) Close() error { return f.bucket.Close() }

// Get opens an object.
func (f *Faulty) Get(ctx context.Context, key string, opts blob.GetOptions) (obj *blob.Object, err error) {
	err = f.do(ctx, Operation{Name: "Get", Key: key}, func(half bool) error {
		var err error
		if obj, err = f.bucket.Get(ctx, key, opts); err == nil && half {
			obj.Body = &brokenBody{obj.Body, max(obj.Length/2, 0)}
		}
		return err
	})
	return obj, err
}

// brokenBody fails after n bytes.
type brokenBody struct {
	io.ReadCloser
	n int64
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.n == 0 {
		return 0, ErrInjected
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.n)])
	b.n -= int64(n)
	return n, err
}

// Head returns the attributes of an object.
func (f *Faulty) Head(ctx context.Context, key string) (attrs blob.Attrs, err error) {
	err = f.do(ctx, Operation{Name: "Head", Key: key}, func(bool) error {
		var err error
		attrs, err = f.bucket.Head(ctx, key)
		return err
	})
	return attrs, err
}

// Put stores an object.
func (f *Faulty) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (attrs blob.Attrs, err error) {
	err = f.do(ctx, Operation{Name: "Put", Key: key, Size: content.Size()}, func(bool) error {
		var err error
		attrs, err = f.bucket.Put(ctx, key, content, opts)
		return err
	})
	return attrs, err
}

// Delete removes objects.
func (f *Faulty) Delete(ctx context.Context, keys ...string) error {
	op := Operation{Name: "Delete"}
	if len(keys) > 0 {
		op.Key = keys[0]
	}
	return f.do(ctx, op, func(bool) error { return f.bucket.Delete(ctx, keys...) })
}

// List yields the objects.
func (f *Faulty) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		stopped := false
		err := f.do(ctx, Operation{Name: "List", Key: opts.Prefix}, func(half bool) error {
			yielded := 0
			for attrs, err := range f.bucket.List(ctx, opts) {
				if half && yielded == 1 {
					return ErrInjected
				}
				if yielded++; !yield(attrs, err) {
					stopped = true
					return nil
				}
			}
			if half {
				return ErrInjected
			}
			return nil
		})
		if err != nil && !stopped {
			yield(blob.Attrs{}, err)
		}
	}
}
