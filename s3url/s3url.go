// Package s3url reads and writes the s3:// URLs by which Nix and Lix name a
// binary cache in S3 or in a store that speaks its protocol:
//
//	s3://bucket[/prefix]?name=value&…
//
// The parameters are of three kinds. Those of S3 (region, endpoint, profile,
// storage-class, …) and of the transport below it (retry-attempts,
// tls-certificate, …) become typed fields of [URL]. The settings of the cache
// itself (compression, secret-key, priority, …), which any store URL may
// carry, are checked and kept as text in [URL.Rest]. All follow the Nix manual,
// "S3 Binary Cache Store"; where a name is nixs3's own, its field says so.
//
// A field is zero where the URL says nothing, and its default applies then; it
// is a pointer where zero is a value of its own. Nothing is guessed: a
// parameter that is unknown, malformed or in conflict with another is an error
// that says what was expected. As in Nix, the first of several values counts,
// and a plus sign stands for itself, not for a space.
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

// Defaults of the parameters that have one of their own, as in Nix. Region is
// only used where neither the environment nor the profile names one.
const (
	DefaultRegion             = "us-east-1"
	DefaultScheme             = "https"
	DefaultMultipartChunkSize = 5 << 20
	DefaultMultipartThreshold = 100 << 20
	DefaultRetryAttempts      = 5

	DefaultRetryDelay            = 100 * time.Millisecond
	DefaultRetryMaxDelay         = time.Minute
	DefaultRetryDelayRateLimited = 5 * time.Second
)

// URL is a parsed s3:// URL. The zero value of every field but Bucket means
// that the URL is silent about it. A URL made by hand is checked by
// [URL.Validate]. Reading one is safe for concurrent use.
type URL struct {
	Bucket string
	Prefix string // of every key; a slash follows it, but is not part of it

	Profile string // of the AWS configuration files; goes before credentials in the environment
	Region  string // DefaultRegion where neither URL, environment nor profile name one

	Scheme   string // "http" or "https", for an Endpoint without one; deprecated in Nix 2.36
	Endpoint string // "https://host[:port][/path]" or "host[:port]"; empty is AWS. See EndpointURL

	AddressingStyle AddressingStyle // see UsesPathStyle

	MultipartUpload    *bool // nil is on, unlike in Nix: objects over 5 GiB need it
	MultipartChunkSize int64 // bytes, 5 MiB to 5 GiB; 0 is DefaultMultipartChunkSize
	MultipartThreshold int64 // bytes from which on multipart is used; 0 is DefaultMultipartThreshold

	StorageClass string // of objects that are written; empty is the bucket's
	VersionID    string // of the one object that is read

	RetryableExceptionNames []string // S3 error codes that are retried besides the SDK's own (Lix)

	Transport

	// The following are extensions of nixs3: Nix and Lix do not know them.

	Anonymous      bool              // anonymous: requests are not signed, credentials not looked for
	SSE            string            // sse: "AES256", "aws:kms" or "aws:kms:dsse"
	SSEKMSKeyID    string            // sse-kms-key-id: with the two aws:kms kinds of SSE
	RequesterPays  bool              // requester-pays
	Accelerate     bool              // accelerate: S3 Transfer Acceleration
	DualStack      bool              // dualstack: AWS endpoints that have IPv6 too
	FIPS           bool              // fips: AWS endpoints validated for FIPS 140
	CacheControl   string            // cache-control: header of objects that are written
	Tags           map[string]string // tags: "name=value,name=value", of objects that are written
	MaxConcurrency int               // max-concurrency: requests at a time; 0 is the driver's default

	// Rest holds the cache settings, one value for each name. The names are
	// known and the values well-formed.
	Rest url.Values

	file     File              // stays empty: for the table of parameters
	spelled  map[string]string // parameters given by their alias: name to alias
	repeated []string          // names given more than once
}

// Transport is the part of the parameters that http:// and https:// store URLs
// have too.
type Transport struct {
	TLSCertificate string // file with the client certificate, PEM
	TLSPrivateKey  string // file with its key, PEM; empty where it is in TLSCertificate

	RetryAttempts         int            // how often a request is tried; 0 is DefaultRetryAttempts
	RetryDelay            *time.Duration // before the second try, doubled for each further one
	RetryMaxDelay         *time.Duration // longest wait between two tries
	RetryDelayRateLimited *time.Duration // instead of RetryDelay after HTTP 429 and 503

	// Extensions of nixs3.
	StallTimeout     *time.Duration // stall-timeout: longest time in which a transfer may stand still
	FirstByteTimeout *time.Duration // first-byte-timeout: longest time from a request to its answer
}

// File is the part of the parameters that only the store URL of a directory
// has.
type File struct {
	Fsync *bool // fsync: writes return when they are on disk; nil is true
}

// maxLength bounds what Parse looks at.
const maxLength = 1 << 16

// Parse reads an s3:// URL. The result is valid in the sense of [URL.Validate].
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

// parseQuery sets the fields from the part behind the question mark.
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

// String returns the URL in its normal form, without what is repeated or left
// at the default. It parses back to the same URL. Parameters that were given
// by an alias keep it, so that a program which only knows the alias can read
// the result.
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
