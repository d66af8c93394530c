package store

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob/httpblob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/internal/naming"
)

// Option is an option of Open.
type Option func(*opening)

type opening struct {
	settings []func(*Settings)
	damaged  bool
	drivers  driverOptions
}

// WithSettings changes the settings of the URL before the cache is opened.
func WithSettings(change func(*Settings)) Option {
	return func(o *opening) { o.settings = append(o.settings, change) }
}

// WithTrustedKeys refuses to read archives of paths that none of the keys has
// signed, unless their content address gives their name. Without keys, the cache
// refuses nothing. See Settings.TrustedKeys.
func WithTrustedKeys(keys ...narinfo.PublicKey) Option {
	return WithSettings(func(s *Settings) { s.TrustedKeys = append(s.TrustedKeys, keys...) })
}

// WithSigners signs every path that is added, in addition to the URL's
// secret-key. It does not change paths that are already in the cache; see
// [Cache.AddSignatures].
func WithSigners(signers ...narinfo.Signer) Option {
	return WithSettings(func(s *Settings) { s.Signers = append(s.Signers, signers...) })
}

// WithDamaged opens a cache without reading its nix-cache-info, for programs
// that verify or repair it. Methods that need the description read it later.
func WithDamaged() Option { return func(o *opening) { o.damaged = true } }

// WithLogger sets the destination of warnings and debug messages. The default
// is silent.
func WithLogger(l *slog.Logger) Option {
	return func(o *opening) {
		o.drivers.logger = l
		WithSettings(func(s *Settings) { s.Logger = l })(o)
	}
}

// WithS3 sets the options of s3:// caches. The URL takes precedence over them.
func WithS3(opts s3blob.Options) Option {
	return func(o *opening) { o.drivers.s3 = opts }
}

// WithHTTP sets the options of http:// and https:// caches, such as headers, a
// netrc file and timeouts. The URL takes precedence over them; it names a netrc
// file and a file of headers by the parameters netrc-file and header-file.
func WithHTTP(opts httpblob.Options) Option {
	return func(o *opening) { o.drivers.http = opts }
}

// Open returns the cache at a store URL, with the parameters of the Nix manual
// ("Binary Cache Store", "S3 Binary Cache Store"):
//
//	s3://bucket[/prefix]?…   any S3-compatible store
//	file:///directory?…      made by the first write; also file:/directory, file:directory
//	/directory?…, ./dir?…    the same
//	http(s)://host/path?…    any web server; to write, one that takes PUT
//	mem://name?…             memory of this process; mem:// alone is a new one
//
// It reads nix-cache-info, so a wrong URL, missing rights and a cache for
// another store directory show at once. A parameter that is unknown or
// malformed is an error.
func Open(ctx context.Context, rawURL string, opts ...Option) (*Cache, error) {
	var o opening
	for _, opt := range opts {
		opt(&o)
	}
	c, err := o.open(ctx, rawURL)
	if err != nil {
		shown := s3url.RedactURL(rawURL)
		place, _, _ := strings.Cut(shown, "?")
		return nil, naming.Error("opening "+shown, place, err)
	}
	return c, nil
}

func (o *opening) open(ctx context.Context, rawURL string) (*Cache, error) {
	place, err := locate(rawURL)
	if err != nil {
		return nil, err
	}
	settings, err := SettingsFromQuery(place.settings)
	if err != nil {
		return nil, err
	}
	settings.Budget.Requests = place.requests
	for _, change := range o.settings {
		change(&settings)
	}
	settings.Budget.setDefaults()
	if settings.Logger != nil {
		for _, warning := range place.warnings {
			settings.Logger.WarnContext(ctx, warning, "url", s3url.RedactURL(rawURL))
		}
	}
	bucket, err := place.connect(ctx, o.drivers, settings.Budget.Requests)
	if err != nil {
		return nil, err
	}
	c, err := New(bucket, settings)
	if err == nil && !o.damaged {
		_, err = c.describe(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, bucket.Close())
	}
	return c, nil
}
