// Package otelblob watches a bucket with OpenTelemetry. It is optional: package
// store knows nothing of it.
//
//	watched, err := otelblob.New(bucket, otelblob.Options{})
//	…
//	cache, err := store.New(watched, store.Settings{})
//
// Every operation is a span of kind client, "blob.Get", "blob.Put" and so on,
// and is measured by two instruments:
//
//	nixs3.blob.duration   histogram, seconds
//	nixs3.blob.io         counter, bytes of objects
//
// Their attributes are few and bounded, so that they can be aggregated. The key
// of an object is not among them, only what kind of object it is:
//
//	nixs3.blob.operation  Get, Head, Put, Delete, List, Copy, Stage, Uploads or Abort
//	nixs3.blob.bucket     Bucket.String, which has no secrets
//	nixs3.blob.class      of the key: narinfo, nar, listing, log, debuginfo,
//	                      realisation, cache-info, all, mixed or other
//	nixs3.blob.direction  of the bytes: read or write
//	error.type            why it failed; absent on success
//
// The type of an error is the sentinel of package blob as a word, not_found,
// access_denied, throttled and so on; or unsupported, truncated, timeout or
// canceled; or _OTHER.
//
// Spans have besides nixs3.blob.bytes, the bytes of the object that were read or
// written, and nixs3.blob.objects, the number listed. A failed span's status has
// the class of the error, not its text, in which the key would be. That an
// object is missing, or a condition does not hold, is an answer and no failure
// of the span.
//
// A Get lasts until its body is closed, a List until its last object, a Stage
// until it is committed or discarded.
package otelblob

import (
	"cmp"
	"context"
	"io"
	"iter"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"example.com/nixs3/store/blob"
)

const scope = "example.com/nixs3/store/otelblob"

// Options say whom to report to. Where a provider is nil it is the global one.
type Options struct {
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// Bucket is a bucket that is watched. It is a [blob.Wrapper]: with [blob.As] it
// is a blob.Copier, Stager, Uploader or Referrer where the bucket behind it is
// one, and these are watched too; a blob.Presigner, which asks nobody, is that
// of the bucket behind it. It is safe for concurrent use.
type Bucket struct {
	behind blob.Bucket
	watch  *watch
}

var _ blob.Wrapper = (*Bucket)(nil)

// New watches a bucket. It fails where the meter provider refuses an instrument.
func New(b blob.Bucket, opts Options) (*Bucket, error) {
	if opts.TracerProvider == nil {
		opts.TracerProvider = otel.GetTracerProvider()
	}
	if opts.MeterProvider == nil {
		opts.MeterProvider = otel.GetMeterProvider()
	}
	w, err := newWatch(b.String(), opts)
	if err != nil {
		return nil, err
	}
	return &Bucket{behind: b, watch: w}, nil
}

// Unwrap returns the bucket behind.
func (b *Bucket) Unwrap() blob.Bucket { return b.behind }

// String describes the bucket behind.
func (b *Bucket) String() string { return b.behind.String() }

// Close closes the bucket behind.
func (b *Bucket) Close() error { return b.behind.Close() }

// Get opens an object.
func (b *Bucket) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	return b.get(ctx, key, func(ctx context.Context) (*blob.Object, error) { return b.behind.Get(ctx, key, opts) })
}

func (b *Bucket) get(ctx context.Context, key string, open func(context.Context) (*blob.Object, error)) (*blob.Object, error) {
	ctx, op := b.watch.begin(ctx, "Get", class(key))
	obj, err := open(ctx)
	if err != nil {
		op.end(ctx, err)
		return nil, err
	}
	obj.Body = &body{ReadCloser: obj.Body, ctx: ctx, op: op}
	return obj, nil
}

// body ends the operation when it is closed, which may be while another
// goroutine is in Read.
type body struct {
	io.ReadCloser
	ctx  context.Context
	op   *operation
	once sync.Once

	mu  sync.Mutex
	n   int64
	err error // the first one of Read
}

func (r *body) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n += int64(n)
	if err != io.EOF {
		r.err = cmp.Or(r.err, err)
	}
	return n, err
}

func (r *body) Close() error {
	err := r.ReadCloser.Close()
	r.once.Do(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.op.read = r.n
		r.op.end(r.ctx, cmp.Or(r.err, err))
	})
	return err
}

// Head returns the attributes of an object.
func (b *Bucket) Head(ctx context.Context, key string) (blob.Attrs, error) {
	ctx, op := b.watch.begin(ctx, "Head", class(key))
	attrs, err := b.behind.Head(ctx, key)
	op.end(ctx, err)
	return attrs, err
}

// Put stores an object.
func (b *Bucket) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	ctx, op := b.watch.begin(ctx, "Put", class(key))
	attrs, err := b.behind.Put(ctx, key, content, opts)
	if err == nil {
		op.written = content.Size()
	}
	op.end(ctx, err)
	return attrs, err
}

// Delete removes objects.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	ctx, op := b.watch.begin(ctx, "Delete", class(keys...))
	err := b.behind.Delete(ctx, keys...)
	op.end(ctx, err)
	return err
}

// List yields objects.
func (b *Bucket) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return watchSeq(b, ctx, "List", opts.Prefix, func(ctx context.Context) iter.Seq2[blob.Attrs, error] {
		return b.behind.List(ctx, opts)
	})
}

// watchSeq makes an operation of each iteration.
func watchSeq[T any](b *Bucket, ctx context.Context, name, prefix string, list func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, op := b.watch.begin(ctx, name, class(prefix))
		var failure error
		defer func() { op.end(ctx, failure) }()
		for item, err := range list(ctx) {
			if err != nil {
				failure = err
			} else {
				op.objects++
			}
			if !yield(item, err) {
				return
			}
		}
	}
}
