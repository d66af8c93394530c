package store

import (
	"context"
	"io"
	"sync/atomic"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/layout"
)

// Stats count the requests of a Cache to its bucket since it was opened. The
// parts and retries of one call count as one.
type Stats struct {
	Gets, Heads, Puts, Deletes, Lists int64 // requests; Lists counts listings begun
	BytesRead, BytesWritten           int64 // of objects, as stored
}

// Requests is the sum of all requests.
func (s Stats) Requests() int64 { return s.Gets + s.Heads + s.Puts + s.Deletes + s.Lists }

// meter is a bucket that counts its requests and bounds those under way at a
// time. A body that is being read does not count: transfers have their own bound.
type meter struct {
	blob.Wrapper
	requests *gate

	gets, heads, puts, deletes, lists, read, written atomic.Int64
}

func newMeter(b blob.Bucket, requests *gate) *meter {
	m := &meter{requests: requests}
	m.Wrapper = blob.Intercept(b, m.around)
	return m
}

func (m *meter) stats() Stats {
	return Stats{
		Gets: m.gets.Load(), Heads: m.heads.Load(), Puts: m.puts.Load(), Deletes: m.deletes.Load(),
		Lists: m.lists.Load(), BytesRead: m.read.Load(), BytesWritten: m.written.Load(),
	}
}

// counter returns the counter of an operation, nil for an operation that is not
// a request of its own.
func (m *meter) counter(op string) *atomic.Int64 {
	switch op {
	case "Get":
		return &m.gets
	case "Head":
		return &m.heads
	case "Put", "Copy", "Commit":
		return &m.puts
	case "Delete":
		return &m.deletes
	case "List":
		return &m.lists
	}
	return nil
}

func (m *meter) around(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
	if n := m.counter(call.Op); n != nil {
		n.Add(1)
		if call.Op != "List" {
			leave, err := m.requests.enter(ctx, 1)
			if err != nil {
				return err
			}
			defer leave()
		}
	}
	var sending *countedContent
	if call.Op == "Put" {
		sending = &countedContent{Content: call.Content, sum: &m.written}
		call.Content = sending
	}
	err := do(ctx)
	if sending != nil {
		sending.settle(err)
	}
	switch {
	case err != nil:
	case call.Op == "Get":
		body := call.Object.Body
		call.Object.Body = struct {
			io.Reader
			io.Closer
		}{flow.CountReader(body, &m.read), body}
	case call.Op == "Commit":
		m.written.Add(call.Size)
	}
	return err
}

// countedContent counts the bytes of an object while they are sent, each once,
// although a driver may read some again.
type countedContent struct {
	blob.Content
	sum     *atomic.Int64
	counted atomic.Int64
}

func (c *countedContent) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Content.ReadAt(p, off)
	before := c.counted.Load()
	if add := min(int64(n), c.Size()-before); add > 0 && c.counted.CompareAndSwap(before, before+add) {
		c.sum.Add(add)
	}
	return n, err
}

// settle corrects the sum when the object is stored, or is not.
func (c *countedContent) settle(err error) {
	c.sum.Add(-c.counted.Load())
	if err == nil {
		c.sum.Add(c.Size())
	}
}

// GetRef opens the object to which the URL of a narinfo refers.
func (m *meter) GetRef(ctx context.Context, ref string, opts blob.GetOptions) (*blob.Object, error) {
	if r, ok := blob.As[blob.Referrer](m.Wrapper); ok {
		return r.GetRef(ctx, ref, opts)
	}
	key, err := layout.ReferenceKey(ref)
	if err != nil {
		return nil, &blob.Error{Op: "Get", Bucket: m.String(), Key: ref, Err: err}
	}
	return m.Get(ctx, key, opts)
}
