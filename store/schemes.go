package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/blob/httpblob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/codec"
)

// location is a parsed store URL.
type location struct {
	settings url.Values // of the cache
	requests int        // at a time; 0 if the URL does not set it
	warnings []string   // about the URL, for the log

	// connect opens the bucket for so many requests at a time.
	connect func(ctx context.Context, o driverOptions, requests int) (blob.Bucket, error)
}

// driverOptions are the options that a URL cannot express.
type driverOptions struct {
	logger *slog.Logger
	s3     s3blob.Options
	http   httpblob.Options
}

func locate(rawURL string) (*location, error) {
	if namesFolder(rawURL) {
		var err error
		if rawURL, err = folderURL(rawURL); err != nil {
			return nil, err
		}
	}
	scheme, rest, _ := strings.Cut(rawURL, ":")
	scheme = strings.ToLower(scheme)
	switch {
	case scheme == "file":
	case !strings.HasPrefix(rest, "//"):
		return nil, errors.New("expected a URL that begins with s3://, file://, http://, https:// or mem://, or a folder such as ./cache")
	case scheme == "s3":
		return locateS3(rawURL)
	}
	// The errors quote nothing of the URL, which may have a password.
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("malformed URL; expected special characters as %XX")
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
	return nil, fmt.Errorf("expected the scheme s3, file, http, https or mem, got %q", u.Scheme)
}

func locateS3(rawURL string) (*location, error) {
	u, err := s3url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	connect := func(ctx context.Context, o driverOptions, requests int) (blob.Bucket, error) {
		opts := o.s3
		opts.Logger = cmp.Or(opts.Logger, o.logger)
		opts.MaxConcurrency = cmp.Or(opts.MaxConcurrency, requests)
		return s3blob.Open(ctx, u, opts)
	}
	return &location{settings: u.Rest, requests: u.MaxConcurrency, connect: connect}, nil
}

// locateFile reads file:///directory, file:/directory and file:directory.
func locateFile(u *url.URL, query url.Values) (*location, error) {
	if u.User != nil || u.Host != "" && u.Host != "localhost" {
		return nil, errors.New("expected a file URL without a host, such as file:///directory")
	}
	dir := u.Path
	if u.Opaque != "" {
		unescaped, err := url.PathUnescape(u.Opaque)
		if err != nil {
			return nil, errors.New("malformed path of a file URL")
		}
		dir = unescaped
	}
	if dir == "" {
		return nil, errors.New("expected a directory, as in file:///directory, got none")
	}
	fsync, settings, err := s3url.ParseFile(query)
	if err != nil {
		return nil, err
	}
	l := &location{settings: settings}
	// Only HTTP and S3 caches have these settings in Nix.
	for _, name := range []string{"narinfo-compression", "ls-compression", "log-compression"} {
		if encoding := settings.Get(name); encoding != "" && encoding != codec.None {
			l.warnings = append(l.warnings, name+" has no effect on a directory, from which Nix reads such objects uncompressed")
		}
		settings.Del(name)
	}
	opts := fileblob.Options{Create: true, NoSync: fsync != nil && !*fsync}
	l.connect = func(context.Context, driverOptions, int) (blob.Bucket, error) { return fileblob.Open(dir, opts) }
	return l, nil
}

func locateHTTP(u *url.URL, query url.Values) (*location, error) {
	netrc, header := query.Get("netrc-file"), query.Get("header-file")
	query.Del("netrc-file")
	query.Del("header-file")
	t, settings, err := s3url.ParseTransport(query)
	if err != nil {
		return nil, err
	}
	connect := func(_ context.Context, o driverOptions, requests int) (blob.Bucket, error) {
		opts := o.http
		opts.Logger = cmp.Or(opts.Logger, o.logger)
		opts.MaxConns = cmp.Or(opts.MaxConns, requests)
		opts.Netrc = cmp.Or(netrc, opts.Netrc)
		opts.HeaderFile = cmp.Or(header, opts.HeaderFile)
		opts.TLSCertificate = cmp.Or(t.TLSCertificate, opts.TLSCertificate)
		opts.TLSPrivateKey = cmp.Or(t.TLSPrivateKey, opts.TLSPrivateKey)
		opts.Retry = s3blob.RetryOf(&t, opts.Retry)
		return httpblob.Open(u.String(), opts)
	}
	return &location{settings: settings, warnings: s3url.SettingsWarnings(settings), connect: connect}, nil
}

// memory holds the named mem:// buckets of this process.
var memory = struct {
	sync.Mutex
	buckets map[string]*memblob.Bucket
}{buckets: map[string]*memblob.Bucket{}}

func locateMemory(u *url.URL, query url.Values) *location {
	connect := func(context.Context, driverOptions, int) (blob.Bucket, error) {
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

// keptOpen is a bucket that others use too, so closing it does nothing.
type keptOpen struct{ *memblob.Bucket }

func (keptOpen) Close() error { return nil }

// folderURL returns the file:// URL of a folder with an absolute name, or with
// one that begins with a dot. The name may carry the parameters of a store URL.
func folderURL(name string) (string, error) {
	dir, query, _ := strings.Cut(name, "?")
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(dir), RawQuery: query}
	return u.String(), nil
}

func namesFolder(rawURL string) bool {
	dir, _, _ := strings.Cut(rawURL, "?")
	return dir == "." || dir == ".." || strings.HasPrefix(dir, "./") || strings.HasPrefix(dir, "../") || filepath.IsAbs(dir)
}
