package s3blob

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
)

// Open returns the bucket that an s3:// URL names. It sends nothing: wrong names
// and missing credentials appear with the first request. Credentials come from
// the SDK's default chain. The URL's profile takes precedence over the
// environment. Without credentials the first request fails within two seconds.
// Credentials in files that change are used without opening the bucket again.
//
// The first answer corrects a region that is not the bucket's.
func Open(ctx context.Context, u *s3url.URL, opts Options) (*Bucket, error) {
	opts = opts.with(u)
	cfg, err := loadConfig(ctx, u, opts)
	if err != nil {
		return nil, err
	}
	opts.Retry.Attempts = cmp.Or(opts.Retry.Attempts, cfg.RetryMaxAttempts) // AWS_MAX_ATTEMPTS
	opts = opts.withDefaults()
	endpoint, err := u.EndpointURL()
	if err != nil {
		return nil, err
	}
	transport, own, err := opts.transport(cfg, &u.Transport)
	if err != nil {
		return nil, err
	}
	if !u.Anonymous {
		cfg.Credentials = newReloaded(cfg.Credentials, func(ctx context.Context) (aws.CredentialsProvider, error) {
			cfg, err := loadConfig(ctx, u, opts)
			return cfg.Credentials, err
		})
	}
	mode := cfg.RetryMode
	// Both would make NewFromConfig wrap or replace what is set below.
	cfg.RetryMaxAttempts, cfg.Retryer = 0, nil
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if endpoint != nil {
			o.BaseEndpoint = aws.String(endpoint.String())
		}
		if opts.Dialect == DialectAuto {
			opts.Dialect = dialectOf(value(o.BaseEndpoint))
		}
		o.UsePathStyle = u.UsesPathStyle() || o.BaseEndpoint != nil && cmp.Or(u.AddressingStyle, "auto") == "auto"
		o.UseAccelerate = u.Accelerate
		o.EndpointOptions.DisableHTTPS = u.Scheme == "http"
		if u.DualStack {
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
		o.HTTPClient = newLimited(transport, opts.Retry)
		o.Logger = sdkLogger{opts.Logger}
		newRetryer(mode, opts.Retry, opts.RetryCodes, opts.Logger).install(o)
		opts.Dialect.speak(o)
		expectAnswers(o)
		followRegion(opts.Logger)(o)
	})
	if err := checkEndpoint(value(client.Options().BaseEndpoint)); err != nil {
		return nil, err
	}
	b := newBucket(client, u.Bucket, u.Prefix, opts)
	b.transport = own
	return b, nil
}

// checkEndpoint refuses an endpoint that cannot be used or holds a secret. The
// environment may have set it. The error does not repeat it.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("expected an endpoint of the form http(s)://host[:port][/path] without a login, got another")
	}
	return nil
}

// with returns the options with the parameters of the URL.
func (o Options) with(u *s3url.URL) Options {
	o.MaxConcurrency = cmp.Or(u.MaxConcurrency, o.MaxConcurrency)
	o.PartSize = cmp.Or(u.MultipartChunkSize, o.PartSize)
	o.MultipartThreshold = cmp.Or(u.MultipartThreshold, o.MultipartThreshold)
	if u.MultipartUpload != nil {
		o.NoMultipart = !*u.MultipartUpload
	}
	o.StorageClass = cmp.Or(u.StorageClass, o.StorageClass)
	o.SSE = cmp.Or(u.SSE, o.SSE)
	o.SSEKMSKeyID = cmp.Or(u.SSEKMSKeyID, o.SSEKMSKeyID)
	o.CacheControl = cmp.Or(u.CacheControl, o.CacheControl)
	o.VersionID = cmp.Or(u.VersionID, o.VersionID)
	o.RequesterPays = o.RequesterPays || u.RequesterPays
	if len(u.Tags) > 0 {
		o.Tags = u.Tags
	}
	o.Retry = RetryOf(&u.Transport, o.Retry)
	if len(u.RetryableExceptionNames) > 0 {
		o.RetryCodes = u.RetryableExceptionNames
	}
	return o
}

// RetryOf returns the policy in the parameters of a store URL, s3:// or
// http(s)://. Parameters that the URL does not have are as in base. A delay of 0
// means no delay, a timeout of 0 means no timeout.
func RetryOf(t *s3url.Transport, base blob.Retry) blob.Retry {
	base.Attempts = cmp.Or(t.RetryAttempts, base.Attempts)
	for _, d := range []struct {
		from *time.Duration
		to   *time.Duration
		zero time.Duration // 0 would be the default
	}{
		{t.RetryDelay, &base.Delay, 1},
		{t.RetryMaxDelay, &base.MaxDelay, 1},
		{t.RetryDelayRateLimited, &base.RateLimitedDelay, 1},
		{t.StallTimeout, &base.Stall, never},
		{t.FirstByteTimeout, &base.FirstByte, never},
	} {
		if d.from != nil {
			*d.to = cmp.Or(*d.from, d.zero)
		}
	}
	return base
}

// never is longer than any program runs.
const never = 100 * 365 * 24 * time.Hour
