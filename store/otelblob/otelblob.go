// Package otelblob watches a bucket with OpenTelemetry. Package store does not
// depend on it.
//
//	watched, err := otelblob.New(bucket, otelblob.Options{})
//	…
//	cache, err := store.New(watched, store.Settings{})
//
// Every operation is a span of kind client ("blob.Get", "blob.Put" and so on)
// and is measured by two instruments:
//
//	nixs3.blob.duration   histogram, seconds
//	nixs3.blob.io         counter, bytes of objects
//
// Their attributes are few and bounded, so that they can be aggregated. They
// have the kind of an object, not its key:
//
//	nixs3.blob.operation  Get, Head, Put, Delete, List, Copy, Stage, Uploads or Abort
//	nixs3.blob.bucket     Bucket.String, which has no secrets
//	nixs3.blob.class      of the key: narinfo, nar, listing, log, debuginfo,
//	                      realisation, cache-info, all, mixed or other
//	nixs3.blob.direction  of the bytes: read or write
//	error.type            reason of a failure; absent on success
//
// The type of an error is the sentinel of package blob as a word (not_found,
// access_denied, throttled and so on), or unsupported, truncated, timeout,
// canceled or _OTHER.
//
// Spans also have nixs3.blob.bytes, the bytes of the object that were read or
// written, and nixs3.blob.objects, the number of listed objects. The status of a
// failed span has the class of the error, not its text, which contains the key.
// A missing object or a condition that does not hold is an answer, not a failure
// of the span.
//
// A Get ends when its body is closed, a List after its last object, and a Stage
// when it is committed or discarded.
package otelblob

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"example.com/nixs3/store/blob"
)

const scope = "example.com/nixs3/store/otelblob"

// Options name the providers to report to. A nil provider is the global one.
type Options struct {
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// New returns b with every operation watched, those of its optional interfaces
// included (see [blob.Intercept]). A blob.Presigner sends no requests and is that
// of b itself. New fails if the meter provider refuses an instrument.
func New(b blob.Bucket, opts Options) (blob.Wrapper, error) {
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
	return blob.Intercept(b, w.around), nil
}

// around makes an operation of a call. A Commit ends the operation of its Stage.
func (w *watch) around(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
	if call.Op == "Commit" {
		return do(ctx)
	}
	ctx, op := w.begin(ctx, call.Op, callClass(call))
	call.Each = func(string) error {
		op.objects++
		return nil
	}
	err := do(ctx)
	switch {
	case err != nil:
	case call.Op == "Get":
		call.Object.Body = &body{ReadCloser: call.Object.Body, ctx: ctx, op: op}
		return nil
	case call.Op == "Stage":
		call.Staged = &staged{Staged: call.Staged, ctx: ctx, op: op}
		return nil
	case call.Op == "Put":
		op.written = call.Size
	}
	op.end(ctx, err)
	return err
}

func callClass(call *blob.Call) string {
	switch call.Op {
	case "Delete":
		return class(call.Keys...)
	case "Stage": // the key is known at the commit
		return classOther
	}
	return class(call.Key)
}
