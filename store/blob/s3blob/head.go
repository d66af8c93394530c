package s3blob

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"example.com/nixs3/store/blob"
)

// Head returns the attributes of an object.
func (b *Bucket) Head(ctx context.Context, key string) (blob.Attrs, error) {
	full, err := b.key(key)
	if err != nil {
		return blob.Attrs{}, b.fail(ctx, "Head", key, err)
	}
	in := &s3.HeadObjectInput{
		Bucket:       &b.name,
		Key:          &full,
		VersionId:    b.opts.versionID(),
		RequestPayer: b.opts.requestPayer(),
	}
	if b.opts.Dialect == DialectAWS {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	out, err := b.client.HeadObject(ctx, in)
	if err != nil {
		return blob.Attrs{}, b.fail(ctx, "Head", key, b.explainHead(ctx, full, err))
	}
	b.authenticated.Store(true)
	return blob.Attrs{
		Key:             key,
		Size:            value(out.ContentLength),
		ETag:            value(out.ETag),
		ModTime:         value(out.LastModified),
		ContentType:     value(out.ContentType),
		ContentEncoding: value(out.ContentEncoding),
		SHA256:          digest(out),
	}, nil
}

// digest returns the SHA-256 checksum of the whole object, nil where the server
// keeps none, or only one of the checksums of its parts.
func digest(out *s3.HeadObjectOutput) *[32]byte {
	if out.ChecksumType == types.ChecksumTypeComposite {
		return nil
	}
	sum, err := base64.StdEncoding.DecodeString(value(out.ChecksumSHA256))
	if err != nil || len(sum) != 32 {
		return nil
	}
	return (*[32]byte)(sum)
}

// explainHead returns a better error than that of a HEAD, whose answer has no
// body: a refused signature looks like a missing permission, and any web
// server's 404 like a missing key. Until the server has understood a request of
// this bucket, explainHead requests the first byte and reads that refusal.
func (b *Bucket) explainHead(ctx context.Context, full string, err error) error {
	switch statusOf(err) {
	case http.StatusNotFound, http.StatusGone:
		if b.authenticated.Load() || b.opts.Dialect == DialectAWS {
			b.authenticated.Store(true)
			return err
		}
	case http.StatusForbidden:
		if b.authenticated.Load() {
			return err
		}
	case http.StatusBadRequest:
	default:
		return err
	}
	out, better := b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.name, Key: &full, Range: aws.String("bytes=0-0"),
		VersionId: b.opts.versionID(), RequestPayer: b.opts.requestPayer(),
	})
	if better == nil {
		out.Body.Close()
		return err
	}
	if code := codeOf(better); code == "AccessDenied" || code == "NoSuchKey" {
		b.authenticated.Store(true)
	}
	if statusOf(better) == 0 || errors.Is(better, context.Canceled) {
		return err
	}
	return better
}
