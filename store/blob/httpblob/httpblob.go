// Package httpblob is a [blob.Bucket] on a web server, as Nix uses http(s)://
// caches. Objects lie below one URL. They are read with GET and HEAD, and
// written with PUT and DELETE where the server allows it. There is no listing.
//
// Objects are delivered as the server sends them: nothing is decompressed on
// the way, and Attrs.ContentEncoding says what the server says. [blob.Retry]
// governs repeated requests, stalls and downloads that break off. A download is
// resumed where the ETag or else Last-Modified proves that the object is the
// same, or where the caller verifies it. A server without ranges is read again
// from the beginning, and what was read before is skipped.
//
// Conditional writes are left to the server, and many ignore the conditions.
// Whether a PUT is atomic depends on the server too.
//
// # Credentials
//
// A login in the URL and the headers of [Options] go to the scheme, host and
// port of the URL and nowhere else, whatever redirects and references say.
// Logins of netrc files go there too, and to other hosts over https on its
// usual port. No message has a password or the query of an address.
//
// # Environment
//
// Proxies come from http_proxy, https_proxy, all_proxy and no_proxy, authorities
// from NIX_SSL_CERT_FILE or SSL_CERT_FILE, logins as [Options].Netrc says.
package httpblob

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/wire"
)

// Options are the settings of a bucket. The zero value reads public caches.
type Options struct {
	// Transport sends the requests. Nil is a transport of the bucket's own, as
	// the package comment says. A transport of the caller's must not
	// decompress, and is not closed by Close.
	Transport http.RoundTripper

	// TLS is for client certificates and roots, nil is the system's defaults.
	// It has no effect with Transport.
	TLS *tls.Config

	// TLSCertificate and TLSPrivateKey are PEM files with a client certificate
	// and its key, which may be in the same file. They are read again when they
	// change, and cannot be combined with Transport.
	TLSCertificate string
	TLSPrivateKey  string

	// MaxConns is how many connections are kept open between requests. It
	// should not be less than the requests at a time. Default 64.
	MaxConns int

	// Header is sent with each request to the cache's own origin.
	Header http.Header

	// HeaderFile is a file with more such headers, one "Name: value" a line,
	// which must be readable. A file that changes is read again.
	HeaderFile string

	// Netrc is a file with logins by host, in the format of ~/.netrc, which
	// must be readable. Empty means the files of the environment, where they
	// are readable: netrc-file of nix.conf (/etc/nix/netrc where it is not
	// set), then ~/.netrc. os.DevNull means none. A login in the URL takes
	// precedence. A file that changes is read again.
	Netrc string

	// Retry is the policy for servers that fail, stall or are slow.
	Retry blob.Retry

	// Logger receives retries and resumed downloads. Nil is silence.
	Logger *slog.Logger
}

// Format prints the options without the values of headers.
func (o Options) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, "httpblob.Options{Header:%d Netrc:%q MaxConns:%d Retry:%v}", len(o.Header), o.Netrc, o.MaxConns, o.Retry)
}

// Bucket is a web server's folder. It implements [blob.Bucket] and
// [blob.Referrer].
type Bucket struct {
	base  *url.URL // ends in a slash, has no login
	netrc *logins
	opts  Options // without Header

	// Functions, since package fmt prints what unexported fields hold.
	login  func() *url.Userinfo
	header func() (http.Header, error)

	transport *wire.Transport
	own       *http.Transport // nil where the caller gave one
}

var (
	_ blob.Bucket   = (*Bucket)(nil)
	_ blob.Referrer = (*Bucket)(nil)
)

// deletesAtOnce bounds the requests of one Delete.
const deletesAtOnce = 16

// Open opens the bucket below an http:// or https:// URL. It sends nothing.
// The URL may have a login, and no query or fragment.
func Open(baseURL string, opts Options) (*Bucket, error) {
	base, err := url.Parse(baseURL)
	if err != nil {
		// The error of url.Parse repeats the URL, which may have a password.
		return nil, &blob.Error{Op: "Open", Err: errors.New("the address of the cache is not a valid URL")}
	}
	opts = opts.withDefaults()
	login, header := base.User, headers(opts.Header, opts.HeaderFile)
	base.User, opts.Header = nil, nil
	b := &Bucket{base: base, opts: opts, login: func() *url.Userinfo { return login }, header: header}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, &blob.Error{Op: "Open", Err: errors.New("expected http://host/path or https://host/path without a query")}
	}
	if !strings.HasSuffix(base.Path, "/") {
		*base = *base.JoinPath("/")
	}
	if b.netrc, err = newLogins(opts.Netrc); err != nil {
		return nil, b.error("Open", "", err)
	}
	if _, err = b.header(); err != nil {
		return nil, b.error("Open", "", err)
	}
	transport := opts.Transport
	if transport != nil && opts.TLSCertificate != "" {
		return nil, b.error("Open", "", errors.New("a client certificate has no effect on a transport of the caller's"))
	}
	if transport == nil {
		if b.own, err = newTransport(opts); err != nil {
			return nil, b.error("Open", "", err)
		}
		transport = b.own
	}
	b.transport = &wire.Transport{Base: transport, Retry: opts.Retry}
	return b, nil
}

func (o Options) withDefaults() Options {
	o.MaxConns = cmp.Or(o.MaxConns, 64)
	o.Retry = o.Retry.WithDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func newTransport(o Options) (*http.Transport, error) {
	t, err := wire.NewBase(o.MaxConns)
	if err != nil {
		return nil, err
	}
	if o.TLS != nil {
		roots := t.TLSClientConfig.RootCAs
		t.TLSClientConfig = o.TLS.Clone()
		if t.TLSClientConfig.RootCAs == nil {
			t.TLSClientConfig.RootCAs = roots
		}
	}
	if o.TLSCertificate != "" {
		t.TLSClientConfig.GetClientCertificate, err = wire.ClientCertificate(o.TLSCertificate, o.TLSPrivateKey)
		if err != nil {
			return nil, fmt.Errorf("tls-certificate=%s: %w", o.TLSCertificate, err)
		}
	}
	return t, nil
}

// Format prints the bucket as String does, whatever the verb.
func (b *Bucket) Format(f fmt.State, verb rune) { io.WriteString(f, b.String()) }

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
// elements, "." or ".." have no address, since servers and proxies fold those.
func (b *Bucket) objectURL(key string) (*url.URL, error) {
	if err := blob.ValidateKey(key); err != nil {
		return nil, err
	}
	if !fs.ValidPath(key) || key == "." {
		return nil, fmt.Errorf("%w: not a clean relative path", blob.ErrInvalidKey)
	}
	u := *b.base
	escaped := u.EscapedPath() + escape(key)
	u.Path += key
	u.RawPath = escaped
	return &u, nil
}

// escape percent-encodes all characters of a key that some server may read as
// another, such as '+'. It keeps '!' and ':', as Nix does.
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
// does not tell them.
func (b *Bucket) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	u, err := b.objectURL(key)
	if err != nil {
		return nil, b.error("Get", key, fmt.Errorf("%w: %w", blob.ErrNotFound, err))
	}
	return b.get(ctx, u, key, opts)
}

// GetRef opens an object by a reference that is resolved against the address of
// the cache (RFC 3986). The reference may lead to another server, which does not
// get the login and the headers of the cache.
func (b *Bucket) GetRef(ctx context.Context, ref string, opts blob.GetOptions) (*blob.Object, error) {
	u, err := b.base.Parse(ref)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, b.error("Get", redacted(ref), fmt.Errorf("%w: the reference is not to an http or https URL", blob.ErrNotFound))
	}
	if b.base.Scheme == "https" && u.Scheme != "https" {
		return nil, b.error("Get", redacted(ref), errors.New("the reference leads from https to http"))
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	return b.get(ctx, u, redacted(ref), opts)
}

// redacted returns a reference for messages, without a query, which may be a
// signature, and without a login.
func redacted(ref string) string {
	if i := strings.IndexAny(ref, "?#"); i >= 0 {
		ref = ref[:i]
	}
	if i := strings.LastIndexByte(ref, '@'); i >= 0 && strings.Contains(ref[:i], "//") {
		ref = "…" + ref[i:]
	}
	return ref
}

// Head returns the attributes of an object. Size is -1 where the server does not
// tell it, such as servers that make narinfos on the fly.
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
	wire.Drain(resp.Body)
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
		return nil // no object has such a key
	}
	resp, err := b.do(ctx, request{op: "Delete", method: http.MethodDelete, url: u, key: key})
	if err != nil {
		return err
	}
	defer wire.Drain(resp.Body)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent, http.StatusNotFound, http.StatusGone:
		return nil
	}
	return b.statusError("Delete", key, resp)
}

// List yields errors.ErrUnsupported: web servers have no listings.
func (b *Bucket) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		yield(blob.Attrs{}, b.error("List", opts.Prefix, fmt.Errorf("%w: a web server does not list objects", errors.ErrUnsupported)))
	}
}
