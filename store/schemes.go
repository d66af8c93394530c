package store

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/blob/httpblob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/blob/s3blob"
)

// location is what a store URL says.
type location struct {
	settings url.Values // of the cache
	requests int        // at a time; 0 where the URL does not say

	// connect opens the bucket for so many requests at a time.
	connect func(ctx context.Context, o *opening, requests int) (blob.Bucket, error)
}

func locate(rawURL string) (*location, error) {
	if namesFolder(rawURL) {
		var err error
		if rawURL, err = folderURL(rawURL); err != nil {
			return nil, err
		}
	}
	scheme, _, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, errors.New("expected a URL that begins with s3://, file://, http://, https:// or mem://, or a folder such as ./cache")
	}
	scheme = strings.ToLower(scheme)
	if scheme == "s3" {
		return locateS3(rawURL)
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	query, err := s3url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, err
	}
	u.RawQuery = ""
	switch scheme {
	case "file":
		return locateFile(u, query)
	case "http", "https":
		return locateHTTP(u, query)
	case "mem":
		return locateMemory(u, query), nil
	}
	return nil, fmt.Errorf("unknown scheme %q, wanted s3, file, http, https or mem", scheme)
}

func locateS3(rawURL string) (*location, error) {
	u, err := s3url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	connect := func(ctx context.Context, o *opening, requests int) (blob.Bucket, error) {
		opts := o.s3
		opts.MaxConcurrency = cmp.Or(opts.MaxConcurrency, requests)
		return s3blob.Open(ctx, u, opts)
	}
	return &location{settings: u.Rest, requests: u.MaxConcurrency, connect: connect}, nil
}

func locateFile(u *url.URL, query url.Values) (*location, error) {
	if u.Host != "" && u.Host != "localhost" {
		return nil, fmt.Errorf("a file URL has three slashes before its path; %q is taken for a host", u.Host)
	}
	if u.Path == "" {
		return nil, errors.New("the directory is missing, wanted file:///directory")
	}
	connect := func(context.Context, *opening, int) (blob.Bucket, error) {
		return fileblob.Open(u.Path, fileblob.Options{Create: true})
	}
	return &location{settings: query, connect: connect}, nil
}

func locateHTTP(u *url.URL, query url.Values) (*location, error) {
	t, settings, err := s3url.ParseTransport(query)
	if err != nil {
		return nil, err
	}
	connect := func(_ context.Context, o *opening, requests int) (blob.Bucket, error) {
		opts := httpblob.Options{Logger: o.s3.Logger, MaxConns: requests, Retry: blob.Retry{
			Attempts:         t.RetryAttempts,
			Delay:            orZero(t.RetryDelay),
			MaxDelay:         orZero(t.RetryMaxDelay),
			RateLimitedDelay: orZero(t.RetryDelayRateLimited),
		}}
		if t.TLSCertificate != "" {
			cert, err := tls.LoadX509KeyPair(t.TLSCertificate, cmp.Or(t.TLSPrivateKey, t.TLSCertificate))
			if err != nil {
				return nil, fmt.Errorf("tls-certificate=%s: %w", t.TLSCertificate, err)
			}
			opts.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		}
		return httpblob.Open(u.String(), opts)
	}
	return &location{settings: settings, connect: connect}, nil
}

// orZero lets the driver choose where the URL is silent. A delay of nothing is
// the shortest that there is.
func orZero(d *time.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return max(*d, time.Nanosecond)
}

// memory holds the named mem:// buckets of this process.
var memory = struct {
	sync.Mutex
	buckets map[string]*memblob.Bucket
}{buckets: map[string]*memblob.Bucket{}}

func locateMemory(u *url.URL, query url.Values) *location {
	connect := func(context.Context, *opening, int) (blob.Bucket, error) {
		name := u.Host + u.Path
		if name == "" {
			return memblob.New(), nil
		}
		memory.Lock()
		defer memory.Unlock()
		if memory.buckets[name] == nil {
			memory.buckets[name] = memblob.New()
		}
		return keptOpen{memory.buckets[name]}, nil
	}
	return &location{settings: query, connect: connect}
}

// keptOpen is a bucket that others use too, so that closing it does nothing.
type keptOpen struct{ *memblob.Bucket }

func (keptOpen) Close() error { return nil }
