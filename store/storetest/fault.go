package storetest

import (
	"errors"
	"fmt"
	"time"

	"example.com/nixs3/store/blob"
)

// ErrInjected is the error of injected failures that have no other.
var ErrInjected = errors.New("injected fault")

// Fault is a failure of an operation. The zero value is none. The kinds are:
//
//	error     fails with Err before anything is done
//	lost      does the work and then fails with Err, as when the answer of a
//	          server does not arrive; a Get fails as with error
//	reset     fails a body with Err after After bytes, a List after that many
//	          objects and a Delete after that many keys; other operations fail
//	          as with error, and a Put first reads After bytes of the content
//	truncate  ends a body after After bytes with io.ErrUnexpectedEOF, as
//	          blob.Bucket promises for a body that is too short; operations
//	          other than Get fail as with reset
//	lie       ends a body after After bytes with io.EOF, which no correct driver
//	          does; operations other than Get succeed
//	corrupt   changes the byte at After of a body; operations other than Get
//	          succeed
//	hang      waits until the context is done, then fails with its cause
type Fault struct {
	Kind  string        // see above; a FaultBucket panics for an unknown one
	Err   error         // nil means ErrInjected
	After int64         // see above
	Delay time.Duration // before anything else
}

// kinds are the kinds of faults. Without a kind, only Delay counts.
var kinds = []string{"", "error", "lost", "reset", "truncate", "lie", "corrupt", "hang"}

// Operation is a call of a method of a [FaultBucket] and its outcome.
type Operation struct {
	Index int    // from 0, in the order of the calls
	Op    string // "Get", "Head", "Put", "Delete", "List", "Copy", "Commit", "Uploads", "Abort"
	Key   string // the prefix of List, the first key of Delete
	Keys  []string
	Put   blob.PutOptions // of Put, Copy and Commit
	Get   blob.GetOptions
	Size  int64 // of the content of Put and Commit
	Fault Fault // that was injected

	Done bool  // the call returned: Get opened the object, List ended
	Err  error // that the call returned
}

// Plan chooses the fault of an operation. It is called under a lock, for one
// operation after the other.
type Plan func(op Operation) Fault

// FailAt is a plan that fails the n-th operation, counted from 0.
func FailAt(n int, f Fault) Plan {
	return func(op Operation) Fault {
		if op.Index == n {
			return f
		}
		return Fault{}
	}
}

// FailFrom is a plan that fails the n-th operation, counted from 0, and all that
// follow, as when the process or the network ends there.
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
