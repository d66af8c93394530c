package s3blob

import (
	"context"
	"fmt"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// maxPresign is the longest time that S3 takes a presigned URL for.
const maxPresign = 7 * 24 * time.Hour

// PresignGet returns a URL that allows any number of GETs of the key
// until the time, at most a week, has passed. With temporary credentials it
// ends with them.
func (b *Bucket) PresignGet(ctx context.Context, key string, expires time.Duration) (string, error) {
	return b.presign(ctx, "PresignGet", key, expires, func(c *s3.PresignClient, full string) (*v4.PresignedHTTPRequest, error) {
		return c.PresignGetObject(ctx, &s3.GetObjectInput{
			Bucket: &b.name, Key: &full, VersionId: b.opts.versionID(), RequestPayer: b.opts.requestPayer(),
		})
	})
}

// PresignPut returns a URL that allows PUT of the key, with any content
// and headers, until the time, at most a week, has passed.
func (b *Bucket) PresignPut(ctx context.Context, key string, expires time.Duration) (string, error) {
	return b.presign(ctx, "PresignPut", key, expires, func(c *s3.PresignClient, full string) (*v4.PresignedHTTPRequest, error) {
		return c.PresignPutObject(ctx, &s3.PutObjectInput{
			Bucket: &b.name, Key: &full, RequestPayer: b.opts.requestPayer(),
		})
	})
}

func (b *Bucket) presign(ctx context.Context, op, key string, expires time.Duration, sign func(*s3.PresignClient, string) (*v4.PresignedHTTPRequest, error)) (string, error) {
	full, err := b.key(key)
	if err == nil && (expires < time.Second || expires > maxPresign) {
		err = fmt.Errorf("expected expiry after 1s to %[2]v, got %[1]v", expires, maxPresign)
	}
	if err != nil {
		return "", b.fail(ctx, op, key, err)
	}
	request, err := sign(s3.NewPresignClient(b.client, s3.WithPresignExpires(expires)), full)
	if err != nil {
		return "", b.fail(ctx, op, key, err)
	}
	return request.URL, nil
}
