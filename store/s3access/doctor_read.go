package s3access

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/layout"
)

// cacheInfoLimit bounds what is read of the cache's description and of the probe,
// in bytes.
var cacheInfoLimit = layout.CacheInfo.Limit()

func (d *doctor) open(ctx context.Context) (detail, remedy string, err error) {
	d.bucket, err = s3blob.Open(ctx, d.url, d.opts)
	if err != nil {
		return "", "", err
	}
	first, err := d.url.ObjectURL(layout.CacheInfoKey)
	if err != nil {
		return "", "", err
	}
	return first.String(), strings.Join(d.url.Warnings(), "; "), nil
}

func (d *doctor) credentials(ctx context.Context) (detail, remedy string, err error) {
	if d.url.Anonymous {
		return "none: requests are not signed", "", nil
	}
	c, err := d.bucket.Client().Options().Credentials.Retrieve(ctx)
	if err != nil {
		return "", "profile=, keys in the environment, or anonymous=true for a public bucket", err
	}
	detail = fmt.Sprintf("access key %s from %s", c.AccessKeyID, c.Source)
	if c.CanExpire {
		detail += ", good until " + c.Expires.UTC().Format(time.RFC3339)
	}
	return detail, "", nil
}

// reach asks for the bucket's region. A denial is not a failure, since only other
// tools need the region.
func (d *doctor) reach(ctx context.Context) (detail, remedy string, err error) {
	b := d.bucket
	configured := b.Client().Options().Region
	out, err := b.Client().GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &d.url.Bucket})
	region := b.Region()
	if err == nil && out.LocationConstraint != "" {
		region = string(out.LocationConstraint)
	}
	if region == "EU" {
		region = "eu-west-1" // its first name
	}
	detail = "in " + region
	if region != configured {
		detail += ", not in " + configured
		remedy = "region=" + region
	}
	if err == nil {
		return detail, remedy, nil
	}
	err = b.ClientError(ctx, "GetBucketLocation", "", err)
	switch {
	case denied(err):
		if remedy == "" {
			remedy = d.onBucket("s3:GetBucketLocation")
		}
		return "its region may not be read", remedy, nil
	case unknown(err):
		return "the server has no regions", remedy, nil
	}
	return "", "", err
}

// readCacheInfo reads the object whole and then the second half of it.
func (d *doctor) readCacheInfo(ctx context.Context) (detail, remedy string, err error) {
	data, _, err := blob.ReadAll(ctx, d.bucket, layout.CacheInfoKey, cacheInfoLimit)
	switch {
	case errors.Is(err, blob.ErrNotFound) && d.access >= AccessWrite:
		return "there is no cache yet; the first write begins it", "", nil
	case errors.Is(err, blob.ErrNotFound):
		return "", "the right bucket and prefix", err
	case err != nil:
		return "", permission(err, d.onObjects("s3:GetObject")), err
	}
	middle := len(data) / 2
	half, err := d.readFrom(ctx, layout.CacheInfoKey, int64(middle))
	if err != nil {
		return "", permission(err, d.onObjects("s3:GetObject")), err
	}
	if !bytes.Equal(half, data[middle:]) {
		return "", "a server or proxy that supports Range", errors.New("the server sent something other than the requested part")
	}
	first, _, _ := bytes.Cut(data, []byte("\n"))
	return fmt.Sprintf("%q, whole and in part", first), "", nil
}

func (d *doctor) readFrom(ctx context.Context, key string, offset int64) ([]byte, error) {
	object, err := d.bucket.Get(ctx, key, blob.GetOptions{Offset: offset})
	if err != nil {
		return nil, err
	}
	defer object.Body.Close()
	return io.ReadAll(io.LimitReader(object.Body, cacheInfoLimit))
}

// headMissing asks for a narinfo that does not exist.
func (d *doctor) headMissing(ctx context.Context) (detail, remedy string, err error) {
	key := "nixs3-doctor-" + rand.Text() + ".narinfo"
	_, err = d.bucket.Head(ctx, key)
	switch {
	case err == nil:
		return "", "endpoint=, of a server for S3", fmt.Errorf("expected a missing object, but the server has %q", key)
	case errors.Is(err, blob.ErrNotFound):
		return "404", "", nil
	case denied(err):
		return "403, which counts as missing for narinfos", d.onBucket("s3:ListBucket"), nil
	}
	return "", "", err
}

func (d *doctor) list(ctx context.Context) (detail, remedy string, err error) {
	for _, err = range d.bucket.List(ctx, blob.ListOptions{}) {
		break
	}
	switch {
	case err == nil:
		return "allowed", "", nil
	case denied(err) && d.access < AccessCollect:
		return "not allowed; only needed to see all paths at once", d.onBucket("s3:ListBucket"), nil
	}
	return "", permission(err, d.onBucket("s3:ListBucket")), err
}
