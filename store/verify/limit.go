package verify

import (
	"context"
	"io"

	"golang.org/x/time/rate"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
)

// Reads of a limited source take at most a tenth of a second's bytes at a time,
// within these bounds, so that the stream is even.
const (
	minBurst = 1 << 10
	maxBurst = 256 << 10
)

// limited returns the cache with all reads of objects together held to a number
// of bytes a second. 0 means no limit.
func limited(cache *store.Cache, bytesPerSecond int64) (*store.Cache, error) {
	if bytesPerSecond <= 0 {
		return cache, nil
	}
	burst := int(min(max(bytesPerSecond/10, minBurst), maxBurst))
	limiter := rate.NewLimiter(rate.Limit(bytesPerSecond), burst)
	b := blob.Intercept(cache.Bucket(), func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
		if err := do(ctx); err != nil || call.Object == nil {
			return err
		}
		body := call.Object.Body
		call.Object.Body = struct {
			io.Reader
			io.Closer
		}{&limitedReader{ctx, body, limiter, burst}, body}
		return nil
	})
	return store.New(b, cache.Settings())
}

type limitedReader struct {
	ctx     context.Context
	r       io.Reader
	limiter *rate.Limiter
	burst   int
}

func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(len(p), l.burst)])
	if n > 0 {
		if werr := l.limiter.WaitN(l.ctx, n); werr != nil {
			return n, werr
		}
	}
	return n, err
}
