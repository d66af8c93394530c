package s3blob

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"example.com/nixs3/store/blob"
)

// maxSingle is the largest object that S3 takes in one request.
const maxSingle = 5 << 30

// Put stores an object, in parts from the threshold on. Content is read in
// place; the memory used does not depend on its size.
func (b *Bucket) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	full, err := b.key(key)
	if err != nil {
		return blob.Attrs{}, b.fail(ctx, "Put", key, err)
	}
	out, err := b.newUpload(ctx, key, full, content, opts).run(ctx)
	if err != nil {
		return blob.Attrs{}, b.fail(ctx, "Put", key, err)
	}
	return out, nil
}

// upload is one call of Put.
type upload struct {
	b       *Bucket
	key     string
	full    string
	content *source
	opts    blob.PutOptions
}

func (b *Bucket) newUpload(ctx context.Context, key, full string, content blob.Content, opts blob.PutOptions) *upload {
	return &upload{b: b, key: key, full: full, content: &source{Content: content, ctx: ctx}, opts: opts}
}

func (u *upload) run(ctx context.Context) (blob.Attrs, error) {
	inParts := u.inParts()
	if u.conditional() {
		// Where the server may ignore the condition, and where it would only
		// be checked when all parts have been sent, the object's attributes
		// tell.
		if inParts || !u.b.honoursConditions() {
			if err := u.b.precheck(ctx, u.key, u.opts); err != nil {
				return blob.Attrs{}, err
			}
		}
		if u.b.unconditional.Load() {
			u.opts.IfNoneMatch, u.opts.IfMatch = false, ""
		}
	}
	send := u.single
	if inParts {
		send = u.parts
	}
	etag, err := send(ctx)
	if err != nil && u.conditional() {
		etag, err = u.afterCondition(ctx, err, send)
	}
	if err != nil {
		return blob.Attrs{}, err
	}
	u.learnCondition(ctx)
	return blob.Attrs{
		Key:             u.key,
		Size:            u.content.Size(),
		ETag:            etag,
		ContentType:     u.opts.ContentType,
		ContentEncoding: u.opts.ContentEncoding,
	}, nil
}

func (u *upload) inParts() bool {
	size := u.content.Size()
	return !u.b.opts.NoMultipart && size >= u.b.opts.MultipartThreshold && size > u.b.opts.PartSize
}

func (u *upload) conditional() bool { return u.opts.IfNoneMatch || u.opts.IfMatch != "" }

// single stores the object in one request and returns its ETag.
func (u *upload) single(ctx context.Context) (string, error) {
	if size := u.content.Size(); size > maxSingle {
		return "", &blob.Error{
			Op: "Put", Bucket: "s3://" + u.b.name, Key: u.key, Err: blob.ErrTooLarge,
			Code: "EntityTooLarge", Hint: hints["EntityTooLarge"],
		}
	}
	in := u.input()
	attempts := 0
	opts := []func(*s3.Options){u.content.guard, countAttempts(&attempts)}
	switch digest := u.opts.SHA256; {
	case digest != nil:
		opts = append(opts, payloadHash(hex.EncodeToString(digest[:])))
		if u.b.opts.Dialect == DialectAWS {
			in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(digest[:]))
		}
	case u.b.opts.Dialect == DialectCompatible:
		opts = append(opts, hashPayload)
	}
	out, err := u.b.client.PutObject(ctx, in, opts...)
	if err != nil {
		if attempts > 1 && u.opts.IfNoneMatch && statusOf(err) == http.StatusPreconditionFailed {
			return u.ours(ctx, err)
		}
		return "", err
	}
	return value(out.ETag), nil
}

// input returns the input of PutObject, from which manager makes the requests of
// a multipart upload.
func (u *upload) input() *s3.PutObjectInput {
	o, size := &u.b.opts, u.content.Size()
	in := &s3.PutObjectInput{
		Bucket:               &u.b.name,
		Key:                  &u.full,
		Body:                 io.NewSectionReader(u.content, 0, size),
		ContentLength:        &size,
		ContentType:          optional(u.opts.ContentType),
		ContentEncoding:      optional(u.opts.ContentEncoding),
		CacheControl:         optional(u.b.cacheControl(u.opts)),
		StorageClass:         types.StorageClass(o.StorageClass),
		ServerSideEncryption: types.ServerSideEncryption(o.SSE),
		SSEKMSKeyId:          optional(o.SSEKMSKeyID),
		Tagging:              optional(o.tagging()),
		RequestPayer:         o.requestPayer(),
		IfMatch:              optional(u.opts.IfMatch),
	}
	if u.opts.IfNoneMatch {
		in.IfNoneMatch = aws.String("*")
	}
	return in
}

func (b *Bucket) cacheControl(opts blob.PutOptions) string {
	if opts.CacheControl != "" {
		return opts.CacheControl
	}
	return b.opts.CacheControl
}

// countAttempts counts into n how often an operation is sent. After more than
// one, an answer may be about the effect of an earlier attempt.
func countAttempts(n *int) func(*s3.Options) {
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("CountAttempts",
			func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
				*n++
				return next.HandleFinalize(ctx, in)
			}), "Retry", middleware.After)
	})
}

// isNotImplemented reports whether the server does not have the operation.
func isNotImplemented(err error) bool {
	return codeOf(err) == "NotImplemented" || statusOf(err) == http.StatusNotImplemented
}

// unquoted returns an ETag without its quotes.
func unquoted(etag string) string { return strings.Trim(etag, `"`) }
