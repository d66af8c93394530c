package otelblob_test

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// recorder is a provider of tracers and meters that keeps what is reported.
type recorder struct {
	mu       sync.Mutex
	ended    []*span
	begun    int
	measured []measurement
	refuse   error // of instruments
}

type span struct {
	tracenoop.Span
	r      *recorder
	name   string
	kind   trace.SpanKind
	attrs  map[string]string
	status codes.Code
	text   string
}

type measurement struct {
	name  string
	value float64
	attrs map[string]string
}

// spans returns the spans that have ended since the last call.
func (r *recorder) spans() []*span {
	r.mu.Lock()
	defer r.mu.Unlock()
	spans := r.ended
	r.ended = nil
	return spans
}

// open returns the number of spans that have not ended.
func (r *recorder) open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.begun
}

// values returns the measurements of an instrument since the last call.
func (r *recorder) values(name string) (found []measurement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []measurement
	for _, m := range r.measured {
		if m.name == name {
			found = append(found, m)
		} else {
			rest = append(rest, m)
		}
	}
	r.measured = rest
	return found
}

type tracerProvider struct {
	tracenoop.TracerProvider
	r *recorder
}

func (p tracerProvider) Tracer(string, ...trace.TracerOption) trace.Tracer { return tracer{r: p.r} }

type tracer struct {
	tracenoop.Tracer
	r *recorder
}

type spanKey struct{}

func (t tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	t.r.begun++
	c := trace.NewSpanStartConfig(opts...)
	s := &span{r: t.r, name: name, kind: c.SpanKind(), attrs: map[string]string{}}
	return context.WithValue(ctx, spanKey{}, s), s
}

func (s *span) IsRecording() bool { return true }

func (s *span) SetAttributes(attrs ...attribute.KeyValue) {
	for _, a := range attrs {
		s.attrs[string(a.Key)] = a.Value.String()
	}
}

func (s *span) SetStatus(code codes.Code, text string) { s.status, s.text = code, text }

func (s *span) End(...trace.SpanEndOption) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.begun--
	s.r.ended = append(s.r.ended, s)
}

type meterProvider struct {
	metricnoop.MeterProvider
	r *recorder
}

func (p meterProvider) Meter(string, ...metric.MeterOption) metric.Meter { return meter{r: p.r} }

type meter struct {
	metricnoop.Meter
	r *recorder
}

func (m meter) Float64Histogram(name string, _ ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return histogram{r: m.r, name: name}, m.r.refuse
}

func (m meter) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return counter{r: m.r, name: name}, m.r.refuse
}

type histogram struct {
	metricnoop.Float64Histogram
	r    *recorder
	name string
}

func (h histogram) Record(_ context.Context, v float64, opts ...metric.RecordOption) {
	h.r.record(h.name, v, metric.NewRecordConfig(opts).Attributes())
}

type counter struct {
	metricnoop.Int64Counter
	r    *recorder
	name string
}

func (c counter) Add(_ context.Context, v int64, opts ...metric.AddOption) {
	c.r.record(c.name, float64(v), metric.NewAddConfig(opts).Attributes())
}

func (r *recorder) record(name string, v float64, set attribute.Set) {
	m := measurement{name, v, map[string]string{}}
	for _, a := range set.ToSlice() {
		m.attrs[string(a.Key)] = a.Value.String()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.measured = append(r.measured, m)
}
