// Package s3url reads and writes the s3:// URLs of Nix and Lix for binary caches
// in S3 or in a server with the same protocol:
//
//	s3://bucket[/prefix]?name=value&…
//
// There are three kinds of parameters. Those of S3 (region, endpoint, profile,
// storage-class, …) and of the transport (retry-attempts, tls-certificate, …)
// become typed fields of [URL]. The settings of the cache (compression,
// secret-key, priority, …), which any store URL may have, are checked and kept as
// text in [URL.Rest]. The parameters follow the Nix manual, "S3 Binary Cache
// Store"; the comments of the fields mark the extensions of nixs3.
//
// A field is zero if the URL does not set it, and its default applies. It is a
// pointer if zero is a possible value. A parameter that is unknown, malformed or
// in conflict with another is an error that says what was expected. As in Nix,
// the first of several values counts, and a plus sign stands for itself, not for
// a space.
package s3url

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

const defaultScheme = "https"

// The defaults of parameters, which are those of Nix. DefaultRegion applies if
// neither the environment nor the profile names a region.
const (
	DefaultRegion             = "us-east-1"
	DefaultMultipartChunkSize = 5 << 20   // bytes
	DefaultMultipartThreshold = 100 << 20 // bytes
)

// URL is a parsed s3:// URL. The zero value of every field except for Bucket
// means that the URL does not set it. [URL.Validate] checks a URL that [Parse] did
// not return. Reading a URL is safe for concurrent use.
type URL struct {
	Bucket string
	Prefix string // of every key, without the slash that follows it

	Profile string // of the AWS configuration files; takes precedence over credentials in the environment
	Region  string // "" is that of the environment, else of the profile, else DefaultRegion

	Scheme   string // "http" or "https", of an Endpoint without "://"; deprecated in Nix 2.36
	Endpoint string // "https://host[:port][/path]" or "host[:port]"; "" is AWS. See EndpointURL

	// AddressingStyle is the place of the bucket's name in a request:
	// "path" is https://host/bucket/key, "virtual" https://bucket.host/key, and
	// "auto", or "", virtual on AWS if the name is one label of a host name,
	// else path.
	AddressingStyle string

	MultipartUpload    *bool // nil is true, unlike in Nix: objects over 5 GiB need it
	MultipartChunkSize int64 // bytes, 5 MiB to 5 GiB; 0 is DefaultMultipartChunkSize
	MultipartThreshold int64 // bytes of the smallest multipart upload; 0 is DefaultMultipartThreshold

	StorageClass string // of written objects; "" is the bucket's
	VersionID    string // of the object to read; a URL with it is for one object

	RetryableExceptionNames []string // further S3 error codes after which requests are retried (Lix)

	Transport

	// The following fields are extensions of nixs3, unknown to Nix and Lix.

	Anonymous      bool              // anonymous: requests are not signed and need no credentials
	SSE            string            // sse: "AES256", "aws:kms" or "aws:kms:dsse"
	SSEKMSKeyID    string            // sse-kms-key-id: only with the two aws:kms kinds of SSE
	RequesterPays  bool              // requester-pays
	Accelerate     bool              // accelerate: S3 Transfer Acceleration
	DualStack      bool              // dualstack: AWS endpoints with IPv6
	FIPS           bool              // fips: AWS endpoints validated for FIPS 140
	CacheControl   string            // cache-control: header of written objects
	Tags           map[string]string // tags: "name=value,name=value", of written objects
	MaxConcurrency int               // max-concurrency: concurrent requests; 0 is the driver's default

	// Rest has the cache settings, one value for each name. Parse returns only
	// known names and well-formed values.
	Rest url.Values

	fsync    *bool             // always nil; the table of parameters needs it
	spelled  map[string]string // parameters given by their alias: name to alias
	repeated []string          // names given more than once
}

// Transport has the parameters that http:// and https:// store URLs have too.
type Transport struct {
	TLSCertificate string // file with the client certificate, PEM
	TLSPrivateKey  string // file with its key, PEM; "" if it is in TLSCertificate

	RetryAttempts         int            // tries of a request; 0 is 5
	RetryDelay            *time.Duration // before the second try, doubled for each further one; nil is 100 ms
	RetryMaxDelay         *time.Duration // longest wait between two tries; nil is 1 min
	RetryDelayRateLimited *time.Duration // instead of RetryDelay after HTTP 429 and 503; nil is 5 s

	// Extensions of nixs3.
	StallTimeout     *time.Duration // stall-timeout: longest time without progress of a transfer; nil is 5 min
	FirstByteTimeout *time.Duration // first-byte-timeout: longest time from a request to its response; nil is 5 min
}

// maxLength bounds the length of a URL in bytes.
const maxLength = 1 << 16

// Parse reads an s3:// URL of at most 64 KiB. The result passes [URL.Validate].
func Parse(s string) (*URL, error) {
	if len(s) > maxLength {
		return nil, fmt.Errorf("s3 URL: longer than %d bytes", maxLength)
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !strings.EqualFold(scheme, "s3") {
		return nil, errors.New("s3 URL: expected s3://bucket[/prefix][?name=value&…]")
	}
	if strings.Contains(rest, "#") {
		return nil, errors.New(`s3 URL: a "#" has no meaning here; written as %23 it is part of a name or value`)
	}
	location, query, _ := strings.Cut(rest, "?")
	bucket, path, _ := strings.Cut(location, "/")
	if strings.Contains(bucket, "@") || strings.Contains(bucket, ":") && hasAt(s) {
		return nil, fmt.Errorf("s3 URL: %w", errLogin)
	}
	u, err := parse(bucket, path, query)
	switch {
	case err != nil && hasAt(s):
		return nil, fmt.Errorf("s3 URL: %w", conceal(s, err))
	case err != nil:
		return nil, fmt.Errorf("s3 URL of bucket %q: %w", clip(bucket), err)
	}
	return u, nil
}

func parse(bucket, path, query string) (*URL, error) {
	bucket, err := url.PathUnescape(bucket)
	if err != nil {
		return nil, fmt.Errorf("invalid bucket name: %w", err)
	}
	prefix, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("prefix %q: %w", path, err)
	}
	u := &URL{Bucket: bucket, Prefix: strings.TrimRight(prefix, "/")}
	if err := u.parseQuery(query); err != nil {
		return nil, err
	}
	return u, u.validate()
}

// parseQuery sets the fields from the part after the question mark.
func (u *URL) parseQuery(query string) error {
	seen := make(map[string]bool)
	return eachPair(query, func(given, text string) error {
		p, err := lookup(given)
		if err != nil {
			return err
		}
		if p.file {
			return p.misplaced(given)
		}
		if seen[p.name] {
			u.repeated = append(u.repeated, p.name)
			return nil
		}
		seen[p.name] = true
		if err := p.bind(u).set(text); err != nil {
			return &parameterError{given, text, err}
		}
		if given != p.name && text != "" {
			if u.spelled == nil {
				u.spelled = make(map[string]string)
			}
			u.spelled[p.name] = given
		}
		return nil
	})
}

// String returns the URL in its normal form, without repeated parameters and
// fields that are zero. [Parse] reads the same URL from it. Parameters that were
// given by an alias keep the alias, so that a program that knows only the alias
// can read the result.
func (u *URL) String() string {
	var b strings.Builder
	b.WriteString("s3://")
	b.WriteString(u.Bucket)
	if u.Prefix != "" {
		b.WriteByte('/')
		b.WriteString(escape(u.Prefix, "/"))
	}
	separator := byte('?')
	add := func(name, text string) {
		b.WriteByte(separator)
		separator = '&'
		b.WriteString(escape(name, ""))
		b.WriteByte('=')
		b.WriteString(escape(text, "/:,@="))
	}
	for i := range params {
		p := &params[i]
		if text := p.bind(u).String(); text != "" && !p.setting {
			name := p.name
			if alias := u.spelled[name]; alias != "" {
				name = alias
			}
			add(name, text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.Rest)) {
		add(name, u.Rest.Get(name))
	}
	return b.String()
}
