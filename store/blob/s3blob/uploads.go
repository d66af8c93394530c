package s3blob

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"example.com/nixs3/store/blob"
)

// Uploads yields the unfinished multipart uploads of keys with a prefix. MinIO
// finds only those whose whole key is the prefix.
func (b *Bucket) Uploads(ctx context.Context, prefix string) iter.Seq2[blob.Upload, error] {
	return func(yield func(blob.Upload, error) bool) {
		for up, err := range b.uploads(ctx, b.prefix+prefix) {
			up.Key = strings.TrimPrefix(up.Key, b.prefix)
			if !yield(up, b.fail(ctx, "Uploads", "", err)) || err != nil {
				return
			}
		}
	}
}

// uploads is Uploads with full keys and the errors as they are.
func (b *Bucket) uploads(ctx context.Context, prefix string) iter.Seq2[blob.Upload, error] {
	return func(yield func(blob.Upload, error) bool) {
		in := &s3.ListMultipartUploadsInput{
			Bucket:       &b.name,
			Prefix:       optional(prefix),
			RequestPayer: b.opts.requestPayer(),
			EncodingType: types.EncodingTypeUrl,
		}
		pages := 0 // of the same key
		for {
			out, err := b.client.ListMultipartUploads(ctx, in)
			if codeOf(err) == "NoSuchUpload" {
				return // gofakes3 says so where there never was one
			}
			if err != nil {
				yield(blob.Upload{}, err)
				return
			}
			for i := range out.Uploads {
				up := &out.Uploads[i]
				key, err := decodeKey(up.Key, out.EncodingType)
				if err != nil {
					yield(blob.Upload{}, err)
					return
				}
				if !yield(blob.Upload{Key: key, ID: value(up.UploadId), Initiated: value(up.Initiated)}, nil) {
					return
				}
			}
			if !value(out.IsTruncated) {
				return
			}
			next, err := decodeKey(out.NextKeyMarker, out.EncodingType)
			// The uploads of one key are in the order of their times.
			if pages++; next > value(in.KeyMarker) {
				pages = 0
			}
			if err == nil && (next < value(in.KeyMarker) || pages >= maxIdlePages ||
				next == value(in.KeyMarker) && value(out.NextUploadIdMarker) == value(in.UploadIdMarker)) {
				err = fmt.Errorf("the server's listing of uploads does not go on after %q", next)
			}
			if err != nil {
				yield(blob.Upload{}, err)
				return
			}
			in.KeyMarker, in.UploadIdMarker = aws.String(next), out.NextUploadIdMarker
		}
	}
}

// AbortUpload ends an unfinished upload and frees its parts. Aborting an upload
// that is already gone succeeds.
func (b *Bucket) AbortUpload(ctx context.Context, u blob.Upload) error {
	full, err := b.key(u.Key)
	if err == nil {
		err = b.abort(ctx, full, u.ID)
	}
	return b.fail(ctx, "AbortUpload", u.Key, err)
}

func (b *Bucket) abort(ctx context.Context, full, id string) error {
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &b.name, Key: &full, UploadId: &id, RequestPayer: b.opts.requestPayer(),
	})
	if codeOf(err) == "NoSuchUpload" {
		return nil
	}
	return err
}
