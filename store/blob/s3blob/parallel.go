package s3blob

import (
	"context"
	"io"
	"math"
	"sync"

	"example.com/nixs3/store/blob"
)

// parallel reads a range in parts, several at once. The first answer has the
// size of the object. An object that fits into a part costs one request.
func (g *download) parallel(ctx context.Context, opts blob.GetOptions) (*blob.Object, error) {
	part := g.b.opts.PartSize
	first := opts
	first.Length = min(part, math.MaxInt64-max(opts.Offset, 0))
	obj, err := g.open(ctx, first)
	if err != nil {
		return nil, err
	}
	end := obj.Size
	if opts.Length > 0 && opts.Length < end-opts.Offset {
		end = opts.Offset + opts.Length
	}
	if obj.Offset+obj.Length >= end {
		return obj, nil
	}
	if obj.ETag == "" {
		// Parts might be of different objects.
		obj.Body.Close()
		return g.open(ctx, opts)
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &window{g: g, ctx: ctx, cancel: cancel, etag: obj.ETag, verified: opts.Verified, next: obj.Offset + obj.Length, end: end, first: obj.Body}
	w.fill()
	obj.Length, obj.Body = end-obj.Offset, w
	return obj, nil
}

// window is the body of a parallel Get: the first part as a stream, the others
// in buffers that are filled ahead of the reader.
type window struct {
	g      *download
	ctx    context.Context
	cancel context.CancelFunc
	etag   string

	verified bool // see blob.GetOptions

	first     io.ReadCloser // nil when it has been read
	ahead     []*part       // in order, the one that is read from at the front
	next, end int64         // what has not been asked for
	done      error
}

// part is one range on its way into a buffer.
type part struct {
	buffer []byte
	data   []byte // what has not been read of it
	err    error
	ready  chan struct{} // closed when data and err are set
}

// fill asks for parts until the window is full.
func (w *window) fill() {
	for len(w.ahead) < w.g.b.opts.Window-1 && w.next < w.end {
		size := min(w.g.b.opts.PartSize, w.end-w.next)
		p := &part{buffer: w.g.b.buffers.get(), ready: make(chan struct{})}
		opts := blob.GetOptions{Offset: w.next, Length: size, IfMatch: w.etag, Verified: w.verified}
		go func() {
			defer close(p.ready)
			p.data, p.err = w.g.readPart(w.ctx, opts, p.buffer[:size])
		}()
		w.ahead = append(w.ahead, p)
		w.next += size
	}
}

// readPart reads a range into a buffer of its size.
func (g *download) readPart(ctx context.Context, opts blob.GetOptions, buffer []byte) ([]byte, error) {
	obj, err := g.open(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer obj.Body.Close()
	n, err := io.ReadFull(obj.Body, buffer)
	if err == io.EOF || err == io.ErrUnexpectedEOF { // the object is shorter than the first answer said
		err = g.b.fail(ctx, "Get", g.key, io.ErrUnexpectedEOF)
	}
	return buffer[:n], err
}

func (w *window) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for w.done == nil {
		n, err := w.read(p)
		if err != nil && err != io.EOF {
			w.done = err
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, w.done
}

// read reads from the part at the front and lets it go when it is through.
func (w *window) read(p []byte) (int, error) {
	if w.first != nil {
		n, err := w.first.Read(p)
		if err == io.EOF {
			w.first.Close()
			w.first = nil
		}
		return n, err
	}
	if len(w.ahead) == 0 {
		w.done = io.EOF
		return 0, io.EOF
	}
	front := w.ahead[0]
	<-front.ready // ends with the context
	n := copy(p, front.data)
	front.data = front.data[n:]
	if len(front.data) > 0 {
		return n, nil
	}
	if front.err != nil {
		return n, front.err
	}
	w.ahead = w.ahead[1:]
	w.g.b.buffers.put(front.buffer)
	w.fill()
	return n, nil
}

// Close ends the requests and waits for them.
func (w *window) Close() error {
	w.cancel()
	if w.first != nil {
		w.first.Close()
		w.first = nil
	}
	for _, p := range w.ahead {
		<-p.ready
		w.g.b.buffers.put(p.buffer)
	}
	w.ahead = nil
	w.done = errClosed
	return nil
}

// bufferPool keeps buffers of one size for the parallel downloads of a bucket.
type bufferPool struct {
	size int64
	pool sync.Pool
}

func (p *bufferPool) get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, p.size)
}

func (p *bufferPool) put(b []byte) { p.pool.Put(&b) }
