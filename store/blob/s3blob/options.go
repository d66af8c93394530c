package s3blob

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob"
)

// Options say how a bucket is reached and how objects are stored in it. The
// zero value suits most buckets. An s3:// URL takes precedence over them.
type Options struct {
	// Logger hears of retries, fallbacks and uploads that could not be
	// aborted. Nil is silent.
	Logger *slog.Logger

	// Transport sends the requests; nil means one of the bucket's own, with
	// proxies from the environment and as many idle connections as there are
	// requests at once.
	Transport http.RoundTripper

	// Dialect overrides which S3 is spoken.
	Dialect Dialect

	// MaxConcurrency is how many requests the caller means to have under way
	// at once, 64 where it is 0. The pool keeps as many connections. It is no
	// limit: requests are never made to wait for each other.
	MaxConcurrency int

	// Retry is the policy for servers that fail, stall or are slow.
	Retry blob.Retry

	// RetryCodes are codes of errors to retry besides the usual.
	RetryCodes []string

	// PartSize is the size of the parts that big objects are sent and, with a
	// Window, read in: 5 MiB to 5 GiB, 5 MiB where it is 0. It grows by itself
	// for an object that would need more than 10,000 parts.
	PartSize int64

	// MultipartThreshold is the size from which objects are sent in parts,
	// 100 MiB where it is 0. NoMultipart sends each object in one request,
	// which S3 refuses above 5 GiB.
	MultipartThreshold int64
	NoMultipart        bool

	// Window is how many parts one Get of a big object reads at once. 0 and 1
	// read one stream, in no memory of its own; otherwise each Get holds up to
	// Window × PartSize bytes.
	Window int

	// The rest is said of every object that is stored.
	StorageClass string // "STANDARD_IA", …; the bucket's own where empty
	SSE          string // "AES256", "aws:kms", "aws:kms:dsse"; the bucket's own where empty
	SSEKMSKeyID  string // key for aws:kms
	Tags         map[string]string
	CacheControl string // where PutOptions has none

	// RequesterPays accepts that requests are charged to the caller.
	RequesterPays bool

	// VersionID is the version of the one object that is read.
	VersionID string
}

// Dialect is a way of speaking S3. See the package comment.
type Dialect uint8

const (
	DialectAuto       Dialect = iota // AWS without a custom endpoint, else compatible
	DialectAWS                       // with the SDK's checksums
	DialectCompatible                // what every server understands
)

const (
	defaultConcurrency = 64
	minPartSize        = 5 << 20
	maxPartSize        = 5 << 30
	maxParts           = 10_000
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.MaxConcurrency = cmp.Or(o.MaxConcurrency, defaultConcurrency)
	o.PartSize = min(max(cmp.Or(o.PartSize, s3url.DefaultMultipartChunkSize), minPartSize), maxPartSize)
	o.MultipartThreshold = cmp.Or(o.MultipartThreshold, s3url.DefaultMultipartThreshold)
	o.Retry = o.Retry.WithDefaults()
	return o
}

func (o Options) requestPayer() types.RequestPayer {
	if o.RequesterPays {
		return types.RequestPayerRequester
	}
	return ""
}

func (o Options) versionID() *string { return optional(o.VersionID) }

// tagging returns the tags as the query that x-amz-tagging holds.
func (o Options) tagging() string {
	q := make(url.Values, len(o.Tags))
	for name, text := range o.Tags {
		q.Set(name, text)
	}
	return q.Encode()
}
