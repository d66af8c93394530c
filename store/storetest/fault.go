package storetest

import (
	"errors"
	"fmt"
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
	Op    string // "Get", "Head", "Put", "Delete", "List", "Copy", "Commit", "Uploads", "Abort"
	Key   string // the prefix of List, the first key of Delete
	Keys  []string
	Put   blob.PutOptions // of Put, Copy and Commit
	Get   blob.GetOptions
	Size  int64 // of the content of Put and Commit
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

// String describes an operation for messages of tests.
func (op Operation) String() string {
	return fmt.Sprintf("%d: %s %q", op.Index, op.Op, op.Key)
}
