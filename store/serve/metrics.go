package serve

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// metrics count the Server's work. Without a Registerer they are not exposed.
type metrics struct {
	requests  *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	firstByte *prometheus.HistogramVec
	bucket    *prometheus.CounterVec
	upstreams *prometheus.CounterVec
	breakers  *prometheus.GaugeVec
	received  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "nixs3_serve", Name: name, Help: help}, labels)
	}
	m := &metrics{
		requests: counter("requests_total", "Requests by kind of object, method and status.", "kind", "method", "status"),
		bytes:    counter("sent_bytes_total", "Bytes of answers by kind of object.", "kind"),
		firstByte: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "nixs3_serve", Name: "first_byte_seconds", Help: "Time to the first byte of an answer by kind of object.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}, []string{"kind"}),
		bucket:    counter("bucket_requests_total", "Requests to the bucket by operation and outcome.", "operation", "outcome"),
		upstreams: counter("upstream_requests_total", "Requests to upstreams by outcome.", "upstream", "outcome"),
		breakers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "nixs3_serve", Name: "upstream_open", Help: "1 while an upstream is not asked because it fails.",
		}, []string{"upstream"}),
		received: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "nixs3_serve", Name: "received_bytes_total", Help: "Bytes of pushed archives."}),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.bytes, m.firstByte, m.bucket, m.upstreams, m.breakers, m.received} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) request(kind layout.Kind, method string, w *response, began time.Time) {
	switch method {
	case "GET", "HEAD", "PUT":
	default:
		method = "other" // labels are bounded
	}
	m.requests.WithLabelValues(kind.String(), method, strconv.Itoa(w.status)).Inc()
	m.bytes.WithLabelValues(kind.String()).Add(float64(w.bytes))
	if !w.firstByte.IsZero() {
		m.firstByte.WithLabelValues(kind.String()).Observe(w.firstByte.Sub(began).Seconds())
	}
}

// around counts the requests to the bucket.
func (m *metrics) around(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
	err := do(ctx)
	m.bucket.WithLabelValues(call.Op, outcome(err)).Inc()
	return err
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case isAbsent(err):
		return "absent"
	case ended(err):
		return "ended"
	}
	return "failed"
}
