package s3blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// PresignContent returns a URL that allows PUT of the content with the SHA-256,
// until the time, at most a week, has passed. The hash is in the query and part
// of the signature. Not every server takes such a URL: see [Bucket.PinsContent].
// It fails with errors.ErrUnsupported where the options say something of every
// object that the sender would have to send in headers.
func (b *Bucket) PresignContent(ctx context.Context, key string, sha256 [32]byte, expires time.Duration) (string, error) {
	if o := &b.opts; o.StorageClass != "" || o.SSE != "" || o.SSEKMSKeyID != "" || len(o.Tags) > 0 || o.CacheControl != "" || o.RequesterPays {
		return "", b.fail(ctx, "PresignPut", key, fmt.Errorf("objects with a storage class, encryption, tags or the like: %w", errors.ErrUnsupported))
	}
	return b.presign(ctx, "PresignPut", key, expires, func(c *s3.PresignClient, full string) (*v4.PresignedHTTPRequest, error) {
		return c.PresignPutObject(ctx, &s3.PutObjectInput{
			Bucket: &b.name, Key: &full,
		}, func(o *s3.PresignOptions) { o.Presigner = pinner{o.Presigner, hex.EncodeToString(sha256[:])} })
	})
}

// pinner presigns requests with the hash of their content.
type pinner struct {
	s3.HTTPPresignerV4
	hash string
}

func (p pinner) PresignHTTP(ctx context.Context, creds aws.Credentials, r *http.Request, _, service, region string,
	at time.Time, opts ...func(*v4.SignerOptions),
) (string, http.Header, error) {
	q := r.URL.Query()
	q.Set("X-Amz-Content-Sha256", p.hash)
	r.URL.RawQuery = q.Encode()
	return p.HTTPPresignerV4.PresignHTTP(ctx, creds, r, p.hash, service, region, at, opts...)
}

// PinsContent sends a wrong and a right content to URLs of [Bucket.PresignContent]
// and reports whether the server refuses the one and takes the other. Either may
// be stored under the key afterwards. An error means that the server did not say.
func (b *Bucket) PinsContent(ctx context.Context, key string) (bool, error) {
	content := "probe " + time.Now().UTC().Format(time.RFC3339)
	url, err := b.PresignContent(ctx, key, sha256.Sum256([]byte(content)), time.Hour)
	if errors.Is(err, errors.ErrUnsupported) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, try := range []struct {
		content string
		taken   bool
	}{{strings.ToUpper(content), false}, {content, true}} {
		taken, err := b.takes(ctx, url, try.content)
		if err != nil {
			return false, b.fail(ctx, "Put", key, err)
		}
		if taken != try.taken {
			return false, nil
		}
	}
	return true, nil
}

// takes reports whether a presigned URL accepts a content.
func (b *Bucket) takes(ctx context.Context, url, content string) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(content))
	if err != nil {
		return false, err
	}
	resp, err := b.client.Options().HTTPClient.Do(r)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		return true, nil
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotImplemented:
		return false, nil
	}
	return false, fmt.Errorf("presigned PUT: unexpected status %s", resp.Status)
}
