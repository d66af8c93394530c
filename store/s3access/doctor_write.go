package s3access

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"example.com/nixs3/store/blob"
)

// probeKey is the key of the object that tries writing. It is always the same, so
// that writers that may not delete leave one object.
const probeKey = "nixs3-doctor"

// abortTime is how long the abort of an upload may take, also after the context
// has ended.
const abortTime = 10 * time.Second

// probeKey returns the full key of the probe in the bucket.
func (d *doctor) probeKey() *string { return aws.String(path.Join(d.url.Prefix, probeKey)) }

func (d *doctor) requestPayer() types.RequestPayer {
	if d.bucket.Options().RequesterPays {
		return types.RequestPayerRequester
	}
	return ""
}

// tagging returns the tags as the query that x-amz-tagging holds.
func tagging(tags map[string]string) string {
	q := make(url.Values, len(tags))
	for name, text := range tags {
		q.Set(name, text)
	}
	return q.Encode()
}

// optional returns a pointer to s, or nil for the empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (d *doctor) put(ctx context.Context) (detail, remedy string, err error) {
	d.probe = []byte("nixs3 doctor was here: " + rand.Text() + "\n")
	digest := sha256.Sum256(d.probe)
	_, err = d.bucket.Put(ctx, probeKey, bytes.NewReader(d.probe), blob.PutOptions{ContentType: "text/plain", SHA256: &digest})
	if err != nil {
		return "", permission(err, d.writeRemedy()), err
	}
	return probeKey, "", nil
}

// writeRemedy names the actions that PutObject needs with the URL's parameters.
func (d *doctor) writeRemedy() string {
	actions := []string{"s3:PutObject"}
	if len(d.url.Tags) > 0 {
		actions = append(actions, "s3:PutObjectTagging")
	}
	remedy := d.onObjects(strings.Join(actions, " and "))
	if strings.HasPrefix(d.url.SSE, "aws:kms") {
		remedy += ", kms:GenerateDataKey and kms:Decrypt on the key"
	}
	return remedy
}

func (d *doctor) readBack(ctx context.Context) (detail, remedy string, err error) {
	got, _, err := blob.ReadAll(ctx, d.bucket, probeKey, cacheInfoLimit)
	switch {
	case err != nil:
		return "", permission(err, d.onObjects("s3:GetObject")), err
	case !bytes.Equal(got, d.probe):
		return "", "an endpoint without a proxy that rewrites bodies", fmt.Errorf("expected the stored bytes, got %.80q", got)
	}
	return fmt.Sprintf("%d bytes, the same", len(got)), "", nil
}

// putConditionally sends the request itself, since Bucket hides it from servers
// without conditional writes.
func (d *doctor) putConditionally(ctx context.Context) (detail, remedy string, err error) {
	o := d.bucket.Options()
	_, err = d.bucket.Client().PutObject(ctx, &s3.PutObjectInput{
		Bucket: &d.url.Bucket, Key: d.probeKey(), Body: bytes.NewReader(d.probe), IfNoneMatch: aws.String("*"),
		StorageClass:         types.StorageClass(o.StorageClass),
		ServerSideEncryption: types.ServerSideEncryption(o.SSE),
		SSEKMSKeyId:          optional(o.SSEKMSKeyID),
		Tagging:              optional(tagging(o.Tags)),
		RequestPayer:         d.requestPayer(),
	})
	err = d.bucket.ClientError(ctx, "Put", probeKey, err)
	switch {
	case errors.Is(err, blob.ErrPrecondition):
		return "refused, as it must be", "", nil
	case err == nil:
		return "the server ignores conditions: of several writers at once more than one may succeed", "", nil
	case unknown(err):
		return "the server has no conditions: of several writers at once more than one may succeed", "", nil
	}
	return "", permission(err, d.writeRemedy()), err
}

// putParts begins an upload, sends a part, lists it and aborts.
func (d *doctor) putParts(ctx context.Context) (detail, remedy string, err error) {
	o := d.bucket.Options()
	if o.NoMultipart {
		return "turned off, so that objects above 5 GiB cannot be stored", "multipart-upload=true", nil
	}
	begun, err := d.bucket.Client().CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &d.url.Bucket, Key: d.probeKey(),
		StorageClass:         types.StorageClass(o.StorageClass),
		ServerSideEncryption: types.ServerSideEncryption(o.SSE),
		SSEKMSKeyId:          optional(o.SSEKMSKeyID),
		Tagging:              optional(tagging(o.Tags)),
		RequestPayer:         d.requestPayer(),
	})
	if err = d.bucket.ClientError(ctx, "Put", probeKey, err); err != nil {
		return "", permission(err, d.writeRemedy()), err
	}
	err = d.sendPart(ctx, begun.UploadId)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	abortErr := d.bucket.AbortUpload(ctx, blob.Upload{Key: probeKey, ID: aws.ToString(begun.UploadId)})
	switch {
	case err != nil:
		return "", permission(err, d.onObjects("s3:PutObject and s3:ListMultipartUploadParts")), err
	case abortErr != nil:
		return "", permission(abortErr, d.onObjects("s3:AbortMultipartUpload")), abortErr
	}
	return "begun, listed and aborted", "", nil
}

func (d *doctor) sendPart(ctx context.Context, id *string) error {
	b := d.bucket
	_, err := b.Client().UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &d.url.Bucket, Key: d.probeKey(), UploadId: id, PartNumber: aws.Int32(1),
		Body: bytes.NewReader(d.probe), RequestPayer: d.requestPayer(),
	})
	if err != nil {
		return b.ClientError(ctx, "UploadPart", probeKey, err)
	}
	_, err = b.Client().ListParts(ctx, &s3.ListPartsInput{Bucket: &d.url.Bucket, Key: d.probeKey(), UploadId: id, RequestPayer: d.requestPayer()})
	return b.ClientError(ctx, "ListParts", probeKey, err)
}

func (d *doctor) listUploads(ctx context.Context) (detail, remedy string, err error) {
	open := 0
	for _, err = range d.bucket.Uploads(ctx, "") {
		if err != nil || open == 1000 {
			break
		}
		open++
	}
	if err != nil {
		return "", permission(err, d.onBucket("s3:ListBucketMultipartUploads")), err
	}
	return fmt.Sprintf("%d open", open), "", nil
}

// delete removes the probe, by the request that takes many keys.
func (d *doctor) delete(ctx context.Context) (detail, remedy string, err error) {
	err = d.bucket.Delete(ctx, probeKey, probeKey+"-absent")
	if err == nil {
		_, err = d.bucket.Head(ctx, probeKey)
		if errors.Is(err, blob.ErrNotFound) || denied(err) {
			return probeKey, "", nil
		}
		if err == nil {
			err = errors.New("the server reported success, but the object still exists")
		}
		return "", "", err
	}
	if denied(err) && d.access < AccessCollect {
		return "not allowed, so that " + probeKey + " stays; only needed to collect garbage", "", nil
	}
	return "", permission(err, d.onObjects("s3:DeleteObject")), err
}
