package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/resume"
)

// Get opens an object or a part of it. The body resumes where the connection
// breaks, as long as the object has not changed. A part that begins at or after
// the end is empty.
func (b *Bucket) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	full, err := b.key(key)
	if err != nil {
		return nil, b.fail(ctx, "Get", key, err)
	}
	g := &download{b: b, key: key, full: full}
	if b.opts.Window > 1 && (opts.Length == 0 || opts.Length > b.opts.PartSize) {
		return g.parallel(ctx, opts)
	}
	return g.open(ctx, opts)
}

// download is one call of Get.
type download struct {
	b    *Bucket
	key  string
	full string
}

// open opens a part as one stream.
func (g *download) open(ctx context.Context, opts blob.GetOptions) (*blob.Object, error) {
	return resume.Open(ctx, opts, resume.Config{
		Retry: g.b.opts.Retry,
		Fetch: g.fetch,
		Fail:  func(err error) error { return g.b.fail(ctx, "Get", g.key, err) },
		Resuming: func(offset int64, reason error) {
			g.b.log.Debug("resuming a broken download", "bucket", g.b.name, "key", g.full, "offset", offset, "error", reason)
		},
	})
}

// fetch asks for a part once, with the client's retries.
func (g *download) fetch(ctx context.Context, opts blob.GetOptions) (*blob.Object, error) {
	out, err := g.b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket:       &g.b.name,
		Key:          &g.full,
		Range:        optional(resume.RangeHeader(opts.Offset, opts.Length)),
		IfMatch:      optional(opts.IfMatch),
		VersionId:    g.b.opts.versionID(),
		RequestPayer: g.b.opts.requestPayer(),
	})
	switch {
	case statusOf(err) == http.StatusRequestedRangeNotSatisfiable:
		return g.empty(ctx, opts, err)
	case err != nil:
		return nil, g.b.fail(ctx, "Get", g.key, err)
	}
	g.b.authenticated.Store(true)
	obj := &blob.Object{
		Attrs: blob.Attrs{
			Key:             g.key,
			ETag:            value(out.ETag),
			ModTime:         value(out.LastModified),
			ContentType:     value(out.ContentType),
			ContentEncoding: value(out.ContentEncoding),
		},
		Body: checked{out.Body},
	}
	length, status := int64(-1), http.StatusOK
	if out.ContentLength != nil {
		length = *out.ContentLength
	}
	if raw, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response); ok {
		status = raw.StatusCode
	}
	if err := resume.Place(obj, status, value(out.ContentRange), length, opts); err != nil {
		out.Body.Close()
		return nil, g.b.fail(ctx, "Get", g.key, err)
	}
	return obj, nil
}

// empty returns an empty part for a range that the server refuses because the
// object ends before it. It returns other refusals.
func (g *download) empty(ctx context.Context, opts blob.GetOptions, refusal error) (*blob.Object, error) {
	attrs, err := g.b.Head(ctx, g.key)
	if err != nil {
		return nil, err
	}
	if attrs.Size > opts.Offset {
		return nil, g.b.fail(ctx, "Get", g.key, refusal)
	}
	return &blob.Object{Attrs: attrs, Offset: attrs.Size, Body: http.NoBody}, nil
}

// checked is a body that fails with blob.ErrChecksum where the SDK finds that
// what was received is not what was stored.
type checked struct{ io.ReadCloser }

func (c checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if isChecksumMismatch(err) {
		err = fmt.Errorf("%w: %w", blob.ErrChecksum, err)
	}
	return n, err
}

var errClosed = errors.New("s3blob: read of a closed body")

// isChecksumMismatch knows the error by its words, since the SDK has no type for
// it. TestChecksumMismatch fails when the SDK rewords it.
func isChecksumMismatch(err error) bool {
	return err != nil && err != io.EOF && strings.Contains(err.Error(), "checksum did not match")
}
