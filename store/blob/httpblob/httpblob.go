// Package httpblob is a [blob.Bucket] behind a web server, as Nix uses
// http(s):// caches: objects lie below one URL and are read with GET and HEAD,
// and written with PUT and DELETE where the server lets us. There is no
// listing.
//
// What a web server hands out is taken as it is: nothing is decompressed on the
// way, and the Content-Encoding is told. Requests that fail for a passing reason
// are tried again, and a body that breaks off is resumed where it did, as long
// as the server says that it is still the same object (ETag, or else
// Last-Modified).
//
// Conditional writes are left to the server, and many ignore the conditions.
// Nothing is known of how a server stores: that a PUT is atomic is its affair.
package httpblob

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
)

// Options are the settings of a bucket. The zero value reads public caches.
type Options struct {
	// Transport makes the requests, for proxies or observers of one's own.
	// Nil is a transport of the bucket's own with the TLS settings below. A
	// given one must not decompress, and is not closed by Close.
	Transport http.RoundTripper

	// TLS is for client certificates and roots, nil is the system's defaults.
	// It has no effect with Transport.
	TLS *tls.Config

	// MaxConns is how many connections are kept open between requests. It
	// should not be less than the requests at a time. Default 64.
	MaxConns int

	// Header is sent with each request to the cache's own origin.
	Header http.Header

	// Netrc is a file with logins by host, in the format of ~/.netrc, that is
	// read once. A login in the URL comes before it. Empty is none.
	Netrc string

	Retry Retry

	// Timeout is how long a server may let us wait for the begin of its answer.
	// Default one minute. It has no effect with Transport.
	Timeout time.Duration

	// StallTimeout is how long it may let us wait for the next bytes of a body.
	// Default five minutes.
	StallTimeout time.Duration

	// Logger hears of retries and resumed bodies. Nil is silence.
	Logger *slog.Logger
}

// Retry says how often and when a request is tried again that failed for a
// passing reason: a broken connection, 408, 425, 429, 500, 502, 503 or 504.
// What the server asks for in Retry-After comes before the delays here, but
// not beyond MaxDelay.
type Retry struct {
	Attempts         int           // in all; default 5
	Delay            time.Duration // before the second, doubled each time, with jitter; default 250 ms
	MaxDelay         time.Duration // default 30 s
	RateLimitedDelay time.Duration // in place of Delay after 429 and 503; default 1 s
}

// Bucket is a web server's folder. It implements [blob.Bucket] and
// [blob.Referrer].
type Bucket struct {
	base   *url.URL // ends in a slash, has no login
	login  *url.Userinfo
	netrc  netrc
	client *http.Client
	own    *http.Transport // nil where the caller gave one
	opts   Options
}

var (
	_ blob.Bucket   = (*Bucket)(nil)
	_ blob.Referrer = (*Bucket)(nil)
)

// maxRedirects is what Nix, too, follows at most.
const maxRedirects = 10

// deletesAtOnce bounds the requests of one Delete.
const deletesAtOnce = 16

// Open opens the bucket below an http:// or https:// URL. It sends nothing.
// The URL may have a login, and no query or fragment.
func Open(baseURL string, opts Options) (*Bucket, error) {
	base, err := url.Parse(baseURL)
	if err != nil {
		// The error of url.Parse repeats the URL, which may have a password.
		return nil, &blob.Error{Op: "Open", Err: errors.New("the address of the cache is no valid URL")}
	}
	b := &Bucket{base: base, login: base.User, opts: opts.withDefaults()}
	base.User = nil
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, b.error("Open", "", errors.New("expected http://host/path or https://host/path without a query"))
	}
	if !strings.HasSuffix(base.Path, "/") {
		*base = *base.JoinPath("/")
	}
	if opts.Netrc != "" {
		if b.netrc, err = readNetrc(opts.Netrc); err != nil {
			return nil, b.error("Open", "", err)
		}
	}
	transport := b.opts.Transport
	if transport == nil {
		b.own = newTransport(b.opts)
		transport = b.own
	}
	b.client = &http.Client{Transport: transport, CheckRedirect: b.checkRedirect}
	return b, nil
}

func (o Options) withDefaults() Options {
	o.MaxConns = cmp.Or(o.MaxConns, 64)
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.StallTimeout = cmp.Or(o.StallTimeout, 5*time.Minute)
	o.Retry.Attempts = cmp.Or(o.Retry.Attempts, 5)
	o.Retry.Delay = cmp.Or(o.Retry.Delay, 250*time.Millisecond)
	o.Retry.MaxDelay = cmp.Or(o.Retry.MaxDelay, 30*time.Second)
	o.Retry.RateLimitedDelay = cmp.Or(o.Retry.RateLimitedDelay, time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func newTransport(o Options) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	t.MaxIdleConns = o.MaxConns
	t.MaxIdleConnsPerHost = o.MaxConns
	t.ResponseHeaderTimeout = o.Timeout
	if o.TLS != nil {
		t.TLSClientConfig = o.TLS.Clone()
	}
	return t
}

// redirectError is a redirect that is not followed.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return e.reason }

// checkRedirect bounds redirects. It follows none from https to http, and none
// that would make a GET of a PUT, whose answer would look like success.
func (b *Bucket) checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > maxRedirects:
		return &redirectError{fmt.Sprintf("more than %d redirects", maxRedirects)}
	case next.URL.Scheme != "https" && first.URL.Scheme == "https":
		return &redirectError{fmt.Sprintf("redirected from https to %s://%s", next.URL.Scheme, next.URL.Host)}
	case next.Method != first.Method:
		return &redirectError{fmt.Sprintf("redirected to %s in a way that makes %s of %s", next.URL.Host, next.Method, first.Method)}
	}
	if !b.isOrigin(next.URL) {
		for name := range b.opts.Header {
			next.Header.Del(name)
		}
	}
	return nil
}

// isOrigin tells whether an address is on the cache's own server.
func (b *Bucket) isOrigin(u *url.URL) bool {
	return u.Scheme == b.base.Scheme && u.Host == b.base.Host
}

// String returns the URL, without a login.
func (b *Bucket) String() string { return strings.TrimSuffix(b.base.String(), "/") }

// Close closes the idle connections.
func (b *Bucket) Close() error {
	if b.own != nil {
		b.own.CloseIdleConnections()
	}
	return nil
}

// objectURL returns the address of the object with the key. Keys with empty
// elements, "." or ".." have none, since servers and proxies fold those.
func (b *Bucket) objectURL(key string) (*url.URL, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	if !fs.ValidPath(key) || key == "." {
		return nil, fmt.Errorf("%w: it is no clean relative path", blob.ErrInvalidKey)
	}
	u := *b.base
	escaped := u.EscapedPath() + escape(key)
	u.Path += key
	u.RawPath = escaped
	return &u, nil
}

// escape escapes a key for a path as far as any server might take a character
// for another: Nix leaves '!' and ':' as they are, '+' may read as a space.
func escape(key string) string {
	const hex = "0123456789ABCDEF"
	var s strings.Builder
	for _, c := range []byte(key) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("/-._~!:=@,$", c) >= 0 {
			s.WriteByte(c)
			continue
		}
		s.WriteByte('%')
		s.WriteByte(hex[c>>4])
		s.WriteByte(hex[c&15])
	}
	return s.String()
}

// Get opens an object or a part of it. Size and Length are -1 where the server
// does not tell.
func (b *Bucket) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	u, err := b.objectURL(key)
	if err != nil {
		return nil, b.error("Get", key, fmt.Errorf("%w: %w", blob.ErrNotFound, err))
	}
	return b.get(ctx, u, key, opts)
}

// GetRef opens an object by a reference that is resolved against the address
// of the cache (RFC 3986). It may lead to another server; a login and the
// headers of Options stay here.
func (b *Bucket) GetRef(ctx context.Context, ref string, opts blob.GetOptions) (*blob.Object, error) {
	u, err := b.base.Parse(ref)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, b.error("Get", ref, fmt.Errorf("%w: the reference leads to no http or https URL", blob.ErrNotFound))
	}
	if b.base.Scheme == "https" && u.Scheme != "https" {
		return nil, b.error("Get", ref, errors.New("the reference leads from https to http"))
	}
	u.Fragment = ""
	return b.get(ctx, u, ref, opts)
}

// Head returns the attributes of an object. Size is -1 where the server does
// not tell it, as some that make narinfos on the fly do not.
func (b *Bucket) Head(ctx context.Context, key string) (blob.Attrs, error) {
	u, err := b.objectURL(key)
	if err != nil {
		return blob.Attrs{}, b.error("Head", key, fmt.Errorf("%w: %w", blob.ErrNotFound, err))
	}
	return b.head(ctx, u, key)
}

func (b *Bucket) head(ctx context.Context, u *url.URL, key string) (blob.Attrs, error) {
	resp, err := b.do(ctx, request{op: "Head", method: http.MethodHead, url: u, key: key})
	if err != nil {
		return blob.Attrs{}, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return blob.Attrs{}, b.statusError("Head", key, resp)
	}
	return attrs(key, resp), nil
}

// Delete removes objects with DELETE, several at a time.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	errs := make([]error, len(keys))
	var group errgroup.Group
	group.SetLimit(deletesAtOnce)
	for i, key := range keys {
		group.Go(func() error {
			errs[i] = b.delete(ctx, key)
			return nil
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func (b *Bucket) delete(ctx context.Context, key string) error {
	u, err := b.objectURL(key)
	if err != nil {
		return nil // there is no such object
	}
	resp, err := b.do(ctx, request{op: "Delete", method: http.MethodDelete, url: u, key: key})
	if err != nil {
		return err
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent, http.StatusNotFound, http.StatusGone:
		return nil
	}
	return b.statusError("Delete", key, resp)
}

// List yields errors.ErrUnsupported: the web has no listings.
func (b *Bucket) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		yield(blob.Attrs{}, b.error("List", opts.Prefix, fmt.Errorf("%w: a web server has no listing of objects", errors.ErrUnsupported)))
	}
}
