package s3blob

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/resume"
)

// copyPartSize is the size of the parts of a big object that the server copies.
const copyPartSize = 512 << 20

// CopyFrom lets the server copy an object from src, which must be a *Bucket at
// the same endpoint that this bucket's credentials may read. The attributes are
// copied too, except that a ContentType, ContentEncoding or CacheControl in the
// options replaces all three.
func (b *Bucket) CopyFrom(ctx context.Context, key string, src blob.Bucket, srcKey string, opts blob.PutOptions) (blob.Attrs, error) {
	from, ok := blob.As[*Bucket](src)
	if !ok || from.endpoint != b.endpoint {
		return blob.Attrs{}, b.fail(ctx, "Copy", key, fmt.Errorf("%w: %s is not at the same S3 endpoint", errors.ErrUnsupported, src))
	}
	full, err := b.key(key)
	if err != nil {
		return blob.Attrs{}, b.fail(ctx, "Copy", key, err)
	}
	attrs, err := from.Head(ctx, srcKey)
	if err != nil {
		return blob.Attrs{}, err
	}
	if opts.IfNoneMatch || opts.IfMatch != "" {
		if err := b.precheck(ctx, key, opts); err != nil {
			return blob.Attrs{}, b.fail(ctx, "Copy", key, err)
		}
	}
	c := &serverCopy{
		b: b, key: full, source: from.copySource(srcKey), attrs: attrs, opts: opts,
		partSize: max(copyPartSize, b.partSize(attrs.Size)),
	}
	etag, err := c.run(ctx)
	if err != nil {
		return blob.Attrs{}, b.fail(ctx, "Copy", key, err)
	}
	attrs.Key, attrs.ETag = key, etag
	if c.replaces() {
		attrs.ContentType, attrs.ContentEncoding = opts.ContentType, opts.ContentEncoding
	}
	return attrs, nil
}

// copySource names an object in the form of x-amz-copy-source.
func (b *Bucket) copySource(key string) string {
	// PathEscape keeps plus signs, which S3 reads as spaces.
	escaped := strings.NewReplacer("%2F", "/", "+", "%2B").Replace(url.PathEscape(b.prefix + key))
	source := b.name + "/" + escaped
	if b.opts.VersionID != "" {
		source += "?versionId=" + url.QueryEscape(b.opts.VersionID)
	}
	return source
}

// serverCopy is one call of CopyFrom.
type serverCopy struct {
	b      *Bucket
	key    string
	source string
	attrs  blob.Attrs // of the source
	opts   blob.PutOptions

	partSize int64
}

func (c *serverCopy) replaces() bool {
	return c.opts.ContentType != "" || c.opts.ContentEncoding != "" || c.opts.CacheControl != ""
}

func (c *serverCopy) run(ctx context.Context) (string, error) {
	if c.attrs.Size > maxSingle {
		return c.parts(ctx)
	}
	o := &c.b.opts
	in := &s3.CopyObjectInput{
		Bucket:               &c.b.name,
		Key:                  &c.key,
		CopySource:           &c.source,
		CopySourceIfMatch:    optional(c.attrs.ETag),
		StorageClass:         types.StorageClass(o.StorageClass),
		ServerSideEncryption: types.ServerSideEncryption(o.SSE),
		SSEKMSKeyId:          optional(o.SSEKMSKeyID),
		RequestPayer:         o.requestPayer(),
	}
	if c.replaces() {
		in.MetadataDirective = types.MetadataDirectiveReplace
		in.ContentType = optional(c.opts.ContentType)
		in.ContentEncoding = optional(c.opts.ContentEncoding)
		in.CacheControl = optional(c.b.cacheControl(c.opts))
	}
	if tags := o.tagging(); tags != "" {
		in.TaggingDirective, in.Tagging = types.TaggingDirectiveReplace, &tags
	}
	if c.b.opts.Dialect == DialectAWS {
		in.IfMatch = optional(c.opts.IfMatch)
		if c.opts.IfNoneMatch {
			in.IfNoneMatch = aws.String("*")
		}
	}
	out, err := c.b.client.CopyObject(ctx, in)
	if err != nil {
		return "", err
	}
	if out.CopyObjectResult == nil || value(out.CopyObjectResult.ETag) == "" {
		return "", errors.New("the server's answer to a copy has no ETag")
	}
	return value(out.CopyObjectResult.ETag), nil
}

// parts copies an object that is too large for one request.
func (c *serverCopy) parts(ctx context.Context) (etag string, err error) {
	o := &c.b.opts
	in := &s3.CreateMultipartUploadInput{
		Bucket:               &c.b.name,
		Key:                  &c.key,
		ContentType:          optional(c.attrs.ContentType),
		ContentEncoding:      optional(c.attrs.ContentEncoding),
		CacheControl:         optional(c.b.cacheControl(c.opts)),
		StorageClass:         types.StorageClass(o.StorageClass),
		ServerSideEncryption: types.ServerSideEncryption(o.SSE),
		SSEKMSKeyId:          optional(o.SSEKMSKeyID),
		Tagging:              optional(o.tagging()),
		RequestPayer:         o.requestPayer(),
	}
	if c.replaces() {
		in.ContentType, in.ContentEncoding = optional(c.opts.ContentType), optional(c.opts.ContentEncoding)
	}
	created, err := c.b.client.CreateMultipartUpload(ctx, in, answered)
	if err == nil && value(created.UploadId) == "" {
		err = errNoUpload
	}
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
			defer cancel()
			err = errors.Join(err, c.b.abort(ctx, c.key, value(created.UploadId)))
		}
	}()
	parts, err := c.copyParts(ctx, created.UploadId)
	if err != nil {
		return "", err
	}
	complete := &s3.CompleteMultipartUploadInput{
		Bucket: &c.b.name, Key: &c.key, UploadId: created.UploadId, RequestPayer: o.requestPayer(),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		IfMatch:         optional(c.opts.IfMatch),
	}
	if c.opts.IfNoneMatch {
		complete.IfNoneMatch = aws.String("*")
	}
	out, err := c.b.client.CompleteMultipartUpload(ctx, complete)
	if err != nil {
		return "", err
	}
	return value(out.ETag), nil
}

func (c *serverCopy) copyParts(ctx context.Context, id *string) ([]types.CompletedPart, error) {
	size := c.partSize
	parts := make([]types.CompletedPart, (c.attrs.Size+size-1)/size)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(min(partsAtOnce, c.b.opts.MaxConcurrency))
	for i := range parts {
		group.Go(func() error {
			offset := int64(i) * size
			number := aws.Int32(int32(i + 1))
			out, err := c.b.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
				Bucket: &c.b.name, Key: &c.key, UploadId: id, PartNumber: number,
				CopySource:        &c.source,
				CopySourceIfMatch: optional(c.attrs.ETag),
				CopySourceRange:   aws.String(resume.RangeHeader(offset, min(size, c.attrs.Size-offset))),
				RequestPayer:      c.b.opts.requestPayer(),
			})
			if err == nil && (out.CopyPartResult == nil || value(out.CopyPartResult.ETag) == "") {
				err = errors.New("the server's answer to a copy has no ETag")
			}
			if err != nil {
				return fmt.Errorf("part %d: %w", i+1, err)
			}
			parts[i] = types.CompletedPart{PartNumber: number, ETag: out.CopyPartResult.ETag}
			return nil
		})
	}
	return parts, group.Wait()
}
