package s3blob

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"
)

// maxBatch is how many keys one DeleteObjects takes.
const maxBatch = 1000

// Delete removes a thousand objects with a request, or one where the server has
// no batches, such as Google Cloud Storage.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	var failures []error
	var batch, single []string
	for _, key := range keys {
		if _, err := b.key(key); err != nil {
			failures = append(failures, b.fail(ctx, "Delete", key, err))
		} else if len(keys) == 1 || b.noBatchDelete.Load() || !fitsXML(key) {
			single = append(single, key)
		} else {
			batch = append(batch, key)
		}
	}
	for chunk := range slices.Chunk(batch, maxBatch) {
		errs, refused := b.deleteBatch(ctx, chunk)
		if refused {
			single = append(single, chunk...)
		}
		failures = append(failures, errs...)
	}
	return errors.Join(append(failures, b.deleteSingly(ctx, single)...)...)
}

// deleteBatch deletes up to maxBatch keys by one request. It reports whether
// the server refused the request as such, and then deleted nothing.
func (b *Bucket) deleteBatch(ctx context.Context, keys []string) (failures []error, refused bool) {
	if b.noBatchDelete.Load() {
		return nil, true
	}
	ids := make([]types.ObjectIdentifier, len(keys))
	for i, key := range keys {
		ids[i].Key = aws.String(b.prefix + key)
	}
	var opts []func(*s3.Options)
	if b.opts.Dialect == DialectCompatible {
		opts = append(opts, contentMD5)
	}
	out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket:       &b.name,
		Delete:       &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
		RequestPayer: b.opts.requestPayer(),
	}, opts...)
	if err != nil && b.lacksBatches(err) {
		b.log.Info("the server has no batch deletes, deleting one by one", "bucket", b.name, "error", err)
		b.noBatchDelete.Store(true)
		return nil, true
	}
	if err != nil {
		for _, key := range keys {
			failures = append(failures, b.fail(ctx, "Delete", key, err))
		}
		return failures, false
	}
	for i := range out.Errors {
		e := &out.Errors[i]
		if value(e.Code) == "NoSuchKey" {
			continue
		}
		failures = append(failures, b.fail(ctx, "Delete", strings.TrimPrefix(value(e.Key), b.prefix),
			&smithy.GenericAPIError{Code: value(e.Code), Message: value(e.Message)}))
	}
	return failures, false
}

// lacksBatches reports whether the answer to a batch delete shows that the
// server, not Amazon's, does not have the operation.
func (b *Bucket) lacksBatches(err error) bool {
	if b.opts.Dialect != DialectCompatible {
		return false
	}
	switch statusOf(err) {
	case http.StatusNotImplemented, http.StatusMethodNotAllowed, http.StatusLengthRequired:
		return true
	case http.StatusBadRequest:
		return codeOf(err) != "MalformedXML"
	}
	return false
}

// deleteSingly deletes keys by a request each.
func (b *Bucket) deleteSingly(ctx context.Context, keys []string) []error {
	failures := make([]error, len(keys))
	var group errgroup.Group
	group.SetLimit(b.opts.MaxConcurrency)
	for i, key := range keys {
		group.Go(func() error {
			_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{
				Bucket: &b.name, Key: aws.String(b.prefix + key), RequestPayer: b.opts.requestPayer(),
			})
			if codeOf(err) != "NoSuchKey" {
				failures[i] = b.fail(ctx, "Delete", key, err)
			}
			return nil
		})
	}
	group.Wait()
	return failures
}

// fitsXML reports whether a key comes through an XML document unchanged.
func fitsXML(key string) bool {
	return strings.IndexFunc(key, func(r rune) bool {
		return r < ' ' || r == '\uFFFE' || r == '\uFFFF'
	}) < 0
}
