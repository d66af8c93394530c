package otelblob

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

const (
	attrOperation = "nixs3.blob.operation"
	attrBucket    = "nixs3.blob.bucket"
	attrClass     = "nixs3.blob.class"
	attrDirection = "nixs3.blob.direction"
	attrBytes     = "nixs3.blob.bytes"
	attrObjects   = "nixs3.blob.objects"
	attrError     = "error.type" // of the semantic conventions
)

// watch reports the operations of a bucket.
type watch struct {
	bucket   attribute.KeyValue
	tracer   trace.Tracer
	duration metric.Float64Histogram
	io       metric.Int64Counter
}

func newWatch(bucket string, opts Options) (*watch, error) {
	w := &watch{bucket: attribute.String(attrBucket, bucket), tracer: opts.TracerProvider.Tracer(scope)}
	meter := opts.MeterProvider.Meter(scope)
	var err error
	w.duration, err = meter.Float64Histogram("nixs3.blob.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of operations on a bucket of objects."))
	if err == nil {
		w.io, err = meter.Int64Counter("nixs3.blob.io", metric.WithUnit("By"),
			metric.WithDescription("Bytes of objects read and written, as stored."))
	}
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", bucket, err)
	}
	return w, nil
}

// operation is an operation under way. One goroutine at a time uses it.
type operation struct {
	*watch
	name, class   string
	span          trace.Span
	start         time.Time
	read, written int64
	objects       int64
}

func (w *watch) begin(ctx context.Context, name, class string) (context.Context, *operation) {
	ctx, span := w.tracer.Start(ctx, "blob."+name, trace.WithSpanKind(trace.SpanKindClient))
	return ctx, &operation{watch: w, name: name, class: class, span: span, start: time.Now()}
}

// end reports the operation. Its context may be cancelled.
func (o *operation) end(ctx context.Context, err error) {
	attrs := []attribute.KeyValue{attribute.String(attrOperation, o.name), o.bucket, attribute.String(attrClass, o.class)}
	attrs = attrs[:len(attrs):len(attrs)]
	o.count(ctx, "read", o.read, attrs)
	o.count(ctx, "write", o.written, attrs)
	if failure := errorClass(ctx, err); failure != "" {
		attrs = append(attrs, attribute.String(attrError, failure))
		if !isAnswer(failure) {
			o.span.SetStatus(codes.Error, failure)
		}
	}
	o.duration.Record(ctx, time.Since(o.start).Seconds(), metric.WithAttributes(attrs...))
	if o.span.IsRecording() {
		if n := o.read + o.written; n > 0 {
			attrs = append(attrs, attribute.Int64(attrBytes, n))
		}
		if o.objects > 0 {
			attrs = append(attrs, attribute.Int64(attrObjects, o.objects))
		}
		o.span.SetAttributes(attrs...)
	}
	o.span.End()
}

func (o *operation) count(ctx context.Context, direction string, n int64, attrs []attribute.KeyValue) {
	if n > 0 {
		o.io.Add(ctx, n, metric.WithAttributes(append(attrs, attribute.String(attrDirection, direction))...))
	}
}
