package store

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/blob/httpblob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/blob/s3blob"
)

// Option changes what Open makes of a URL.
type Option func(*opening)

type opening struct {
	settings []func(*Settings)
	s3       s3blob.Options
}

// WithSettings changes the settings that the URL gives, before the cache is
// made of them.
func WithSettings(change func(*Settings)) Option {
	return func(o *opening) { o.settings = append(o.settings, change) }
}

// WithTrustedKeys refuses to read archives of paths that none of the keys has
// signed. See Settings.TrustedKeys.
func WithTrustedKeys(keys ...narinfo.PublicKey) Option {
	return WithSettings(func(s *Settings) { s.TrustedKeys = append(s.TrustedKeys, keys...) })
}

// WithSigners signs every path that is added, besides the URL's secret-key.
func WithSigners(signers ...narinfo.Signer) Option {
	return WithSettings(func(s *Settings) { s.Signers = append(s.Signers, signers...) })
}

// WithLogger sets where warnings and debug messages go. The default is silent.
func WithLogger(l *slog.Logger) Option {
	return func(o *opening) {
		o.s3.Logger = l
		WithSettings(func(s *Settings) { s.Logger = l })(o)
	}
}

// WithS3 sets what no s3:// URL can say; what the URL does say goes before it.
func WithS3(opts s3blob.Options) Option {
	return func(o *opening) {
		logger := o.s3.Logger
		if o.s3 = opts; opts.Logger == nil {
			o.s3.Logger = logger
		}
	}
}

// Open returns the cache at a store URL, with the parameters of the Nix manual
// ("Binary Cache Store", "S3 Binary Cache Store"):
//
//	s3://bucket[/prefix]?…   any S3-compatible store
//	file:///directory?…      made by the first write
//	http(s)://host/path?…    any web server; to write, one that takes PUT
//	mem://name?…             memory of this process; mem:// alone is a new one
//
// It reads nix-cache-info, so a wrong URL, missing rights and a cache for
// another store directory show at once. A parameter that is unknown or
// malformed is an error.
func Open(ctx context.Context, rawURL string, opts ...Option) (BinaryCacheStore, error) {
	var o opening
	for _, opt := range opts {
		opt(&o)
	}
	bucket, settings, err := o.bucket(ctx, rawURL)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", RedactURL(rawURL), err)
	}
	for _, change := range o.settings {
		change(&settings)
	}
	c, err := New(bucket, settings)
	if err == nil {
		_, err = c.describe(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", RedactURL(rawURL), errors.Join(err, bucket.Close()))
	}
	return c, nil
}

// bucket opens what a URL points to, and reads its settings.
func (o *opening) bucket(ctx context.Context, rawURL string) (blob.Bucket, Settings, error) {
	scheme, _, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, Settings{}, errors.New("a store URL begins with s3://, file://, http://, https:// or mem://")
	}
	switch strings.ToLower(scheme) {
	case "s3":
		return o.s3Bucket(ctx, rawURL)
	case "file":
		return fileBucket(rawURL)
	case "http", "https":
		return o.httpBucket(rawURL)
	case "mem":
		return memBucket(rawURL)
	}
	return nil, Settings{}, fmt.Errorf("unknown scheme %q, wanted s3, file, http, https or mem", scheme)
}

func (o *opening) s3Bucket(ctx context.Context, rawURL string) (blob.Bucket, Settings, error) {
	u, err := s3url.Parse(rawURL)
	if err != nil {
		return nil, Settings{}, err
	}
	s, err := SettingsFromQuery(u.Rest)
	if err != nil {
		return nil, s, err
	}
	s.Budget.Requests = u.MaxConcurrency
	b, err := s3blob.Open(ctx, u, o.s3)
	return b, s, err
}

func fileBucket(rawURL string) (blob.Bucket, Settings, error) {
	u, s, err := splitURL(rawURL)
	if err != nil {
		return nil, s, err
	}
	if u.Host != "" && u.Host != "localhost" {
		return nil, s, fmt.Errorf("a file URL has three slashes before its path; %q is taken for a host", u.Host)
	}
	if u.Path == "" {
		return nil, s, errors.New("the directory is missing, wanted file:///directory")
	}
	b, err := fileblob.Open(u.Path, fileblob.Options{Create: true})
	return b, s, err
}

func (o *opening) httpBucket(rawURL string) (blob.Bucket, Settings, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, Settings{}, err
	}
	q, err := s3url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, Settings{}, err
	}
	t, rest, err := s3url.ParseTransport(q)
	if err != nil {
		return nil, Settings{}, err
	}
	s, err := SettingsFromQuery(rest)
	if err != nil {
		return nil, s, err
	}
	opts := httpblob.Options{Logger: o.s3.Logger, Retry: httpblob.Retry{
		Attempts:         t.RetryAttempts,
		Delay:            orZero(t.RetryDelay),
		MaxDelay:         orZero(t.RetryMaxDelay),
		RateLimitedDelay: orZero(t.RetryDelayRateLimited),
	}}
	if t.TLSCertificate != "" {
		cert, err := tls.LoadX509KeyPair(t.TLSCertificate, cmp.Or(t.TLSPrivateKey, t.TLSCertificate))
		if err != nil {
			return nil, s, fmt.Errorf("tls-certificate=%s: %w", t.TLSCertificate, err)
		}
		opts.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	u.RawQuery = ""
	b, err := httpblob.Open(u.String(), opts)
	return b, s, err
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
var memory struct {
	sync.Mutex
	buckets map[string]*memblob.Bucket
}

func memBucket(rawURL string) (blob.Bucket, Settings, error) {
	u, s, err := splitURL(rawURL)
	if err != nil {
		return nil, s, err
	}
	name := u.Host + u.Path
	if name == "" {
		return memblob.New(), s, nil
	}
	memory.Lock()
	defer memory.Unlock()
	if memory.buckets == nil {
		memory.buckets = map[string]*memblob.Bucket{}
	}
	if memory.buckets[name] == nil {
		memory.buckets[name] = memblob.New()
	}
	return keptOpen{memory.buckets[name]}, s, nil
}

// keptOpen is a bucket that others use too, so that closing it does nothing.
type keptOpen struct{ *memblob.Bucket }

func (keptOpen) Close() error { return nil }

func splitURL(rawURL string) (*url.URL, Settings, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, Settings{}, err
	}
	q, err := s3url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, Settings{}, err
	}
	s, err := SettingsFromQuery(q)
	return u, s, err
}

// RedactURL returns a store URL without the password that it may hold, for
// messages.
func RedactURL(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.User == nil {
		return rawURL
	}
	return u.Redacted()
}
