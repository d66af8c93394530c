package s3blob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"example.com/nixs3/store/blob"
)

// List yields objects a thousand to a request.
func (b *Bucket) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		if err := b.list(ctx, opts, yield); err != nil {
			yield(blob.Attrs{}, b.fail(ctx, "List", "", err))
		}
	}
}

// PageSize implements blob.Pager: a LIST request returns at most 1,000 keys.
func (b *Bucket) PageSize() int { return 1000 }

// maxIdlePages is the greatest number of successive pages without a new key.
// Amazon passes over deleted objects in such pages.
const maxIdlePages = 1000

func (b *Bucket) list(ctx context.Context, opts blob.ListOptions, yield func(blob.Attrs, error) bool) error {
	in := &s3.ListObjectsV2Input{
		Bucket:       &b.name,
		Prefix:       optional(b.prefix + opts.Prefix),
		RequestPayer: b.opts.requestPayer(),
		// Without it a key that XML cannot hold would spoil the answer.
		EncodingType: types.EncodingTypeUrl,
	}
	if opts.StartAfter != "" {
		in.StartAfter = aws.String(b.prefix + opts.StartAfter)
	}
	if opts.Shallow {
		in.Delimiter = aws.String("/")
	}
	last, idle := "", 0
	for {
		out, err := b.client.ListObjectsV2(ctx, in)
		if err != nil {
			return err
		}
		b.authenticated.Store(true)
		idle++
		for i := range out.Contents {
			attrs, err := b.listed(&out.Contents[i], out.EncodingType)
			if err != nil {
				return err
			}
			if full := b.prefix + attrs.Key; full <= last {
				return fmt.Errorf("the server's listing does not rise: %q comes after %q", full, last)
			} else {
				last, idle = full, 0
			}
			// The prefix itself may be an object that marks a folder, and
			// some servers do not know StartAfter.
			if attrs.Key == "" || attrs.Key <= opts.StartAfter {
				continue
			}
			if !yield(attrs, nil) {
				return nil
			}
		}
		if !value(out.IsTruncated) {
			return nil
		}
		for i := range out.CommonPrefixes {
			folder, err := decodeKey(out.CommonPrefixes[i].Prefix, out.EncodingType)
			if err != nil {
				return err
			}
			if folder > last {
				last, idle = folder, 0
			}
		}
		if idle >= maxIdlePages {
			return fmt.Errorf("the server's listing has no more keys after %q and does not end", last)
		}
		if next := value(out.NextContinuationToken); next == "" || next == value(in.ContinuationToken) {
			return errors.New("the server's listing is cut off and has no token to go on with")
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

func (b *Bucket) listed(o *types.Object, encoding types.EncodingType) (blob.Attrs, error) {
	full, err := decodeKey(o.Key, encoding)
	if err != nil {
		return blob.Attrs{}, err
	}
	key, ok := strings.CutPrefix(full, b.prefix)
	if !ok {
		return blob.Attrs{}, fmt.Errorf("the server listed %q, which is not below %q", full, b.prefix)
	}
	return blob.Attrs{
		Key:     key,
		Size:    value(o.Size),
		ETag:    value(o.ETag),
		ModTime: value(o.LastModified),
	}, nil
}

// decodeKey returns a key of a listing.
func decodeKey(key *string, encoding types.EncodingType) (string, error) {
	if encoding != types.EncodingTypeUrl {
		return value(key), nil
	}
	plain, err := url.QueryUnescape(value(key))
	if err != nil {
		return "", fmt.Errorf("the server listed a malformed key: %w", err)
	}
	return plain, nil
}
