// Package s3blob is the [blob.Bucket] over Amazon S3 and the many servers that
// speak its protocol.
//
// [Open] connects to what an s3:// URL names; [New] takes a client that the
// caller has already. Both give a [Bucket], which besides blob.Bucket is a
// [blob.Copier], a [blob.Presigner] and a [blob.UploadCleaner].
//
// # Dialects
//
// Requests to Amazon's servers have the AWS SDK's own integrity protections.
// Requests to other servers have the form of S3 before 2025, since many servers
// refuse or mangle later additions: no checksum headers or trailers, no
// Accept-Encoding in the signature, Content-MD5 on batch deletes, path-style
// addresses. A [Dialect] in the options overrides the choice.
//
// # Bytes
//
// Nothing is buffered on the way up. A body is read in place from its
// [blob.Content], as often as retries need it. An object that goes in one
// request is signed with its SHA-256, which the server checks against what
// arrives; where the caller knows the digest, the content is read only once, to
// be sent. Objects above a threshold go up in parts, several at a time. Amazon
// checks the CRC-32 of each part. In the compatible dialect parts are neither
// signed nor summed up, so over plain HTTP only TCP guards them, and the NarHash
// that every reader verifies.
//
// A download that breaks off is resumed, under the condition that the object is
// still the same. With [Options].Window above one, large objects are read in
// parallel ranges.
//
// # Conditions
//
// PutOptions.IfNoneMatch and IfMatch are the server's conditional writes where
// it has them. A server that answers 501 Not Implemented, or is not known to
// honour the condition, is asked for the object's attributes first; of several
// such writers at once more than one may then succeed.
//
// # Failures
//
// Every error is a *[blob.Error] with the server's code, the request ID and, for
// frequent errors, a remedy. [blob.Retry] governs repeated requests and stalls. A
// server that asks to slow down slows the whole client. A failed or cancelled
// upload is aborted on a context of its own, for at most ten seconds.
//
// An answer is not trusted: error bodies, pages of listings and other answers
// that are not objects have bounds, keys of a listing have to rise, and only a
// 404 with an S3 code for a missing key is [blob.ErrNotFound].
package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
)

var (
	_ blob.Bucket           = (*Bucket)(nil)
	_ blob.Copier           = (*Bucket)(nil)
	_ blob.Presigner        = (*Bucket)(nil)
	_ blob.ContentPresigner = (*Bucket)(nil)
	_ blob.UploadCleaner    = (*Bucket)(nil)
)

// Bucket is a bucket in S3, or the part of one below a prefix. It may be used
// by any number of goroutines at once.
type Bucket struct {
	client   *s3.Client
	name     string
	prefix   string // "" or ends with a slash
	endpoint string // "" is AWS
	arn      string
	opts     Options
	log      *slog.Logger
	abilities
	buffers bufferPool

	// transport is closed with the bucket; nil where it is the caller's.
	transport *http.Transport
}

// New returns the bucket that client reaches by name, with prefix (which may be
// empty) before every key. Credentials, retries and connections are those of
// the client: the attempts and delays of Options.Retry count for downloads that
// break off alone, its times for all requests; Transport and RetryCodes have no
// effect. The bucket uses a copy of the client that is set up for the dialect
// and has the limits of package blob.
func New(client *s3.Client, bucket, prefix string, opts Options) *Bucket {
	opts = opts.withDefaults()
	o := client.Options()
	if opts.Dialect == DialectAuto {
		opts.Dialect = dialectOf(value(o.BaseEndpoint))
	}
	limited := s3.New(o, opts.Dialect.speak, expectAnswers, func(o *s3.Options) { withLimits(o, opts.Retry) })
	return newBucket(limited, bucket, prefix, opts)
}

func newBucket(client *s3.Client, bucket, prefix string, opts Options) *Bucket {
	b := &Bucket{client: client, name: bucket, opts: opts, log: opts.Logger}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		b.prefix = prefix + "/"
	}
	o := client.Options()
	b.endpoint = value(o.BaseEndpoint)
	b.arn = "arn:" + s3url.PartitionOf(o.Region) + ":s3:::" + bucket
	b.conditional.Store(opts.Dialect == DialectAWS)
	b.buffers.size = opts.PartSize
	return b
}

// Client returns the client that the bucket uses, for operations of S3 that
// blob.Bucket does not have. Its answers have the bounds of the bucket's.
func (b *Bucket) Client() *s3.Client { return b.client }

// ClientError returns the failure of a request that was made with Client as a
// *blob.Error, like those of the bucket's own methods. op is the operation as
// the error names it. It returns nil if err is nil.
func (b *Bucket) ClientError(ctx context.Context, op, key string, err error) error {
	return b.fail(ctx, op, key, err)
}

// Options returns the options in effect: those that the bucket was opened with,
// changed by its URL, with defaults.
func (b *Bucket) Options() Options { return b.opts }

// String returns the bucket as an s3:// URL, with its endpoint where that is
// not Amazon's.
func (b *Bucket) String() string {
	s := "s3://" + b.name
	if b.prefix != "" {
		s += "/" + strings.TrimSuffix(b.prefix, "/")
	}
	if b.endpoint == "" {
		return s
	}
	u, err := url.Parse(b.endpoint)
	if err != nil {
		return s + "?endpoint=…"
	}
	return s + "?endpoint=" + (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Format prints the bucket as String does, whatever the verb.
func (b *Bucket) Format(f fmt.State, verb rune) { io.WriteString(f, b.String()) }

// Close closes the idle connections of a bucket from Open.
func (b *Bucket) Close() error {
	if b.transport != nil {
		b.transport.CloseIdleConnections()
	}
	return nil
}

// maxKey is the longest key of an object in S3, in bytes.
const maxKey = 1024

// key returns the full key in the bucket.
func (b *Bucket) key(key string) (string, error) {
	full := b.prefix + key
	switch {
	case key == "":
		return "", errors.New("the key is empty")
	case len(full) > maxKey:
		return "", errors.New("the key has " + strconv.Itoa(len(full)) + " bytes, S3 takes " + strconv.Itoa(maxKey))
	case strings.IndexByte(full, 0) >= 0 || !utf8.ValidString(full):
		return "", errors.New("the key is not UTF-8 without NUL")
	}
	return full, nil
}

// value returns what p points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// optional returns a pointer to v, or nil for the zero value.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
