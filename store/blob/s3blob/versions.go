package s3blob

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"
)

// versionLookups is how many keys DeleteVersions looks up at a time.
const versionLookups = 16

// maxVersions bounds the versions of an object that are looked at.
const maxVersions = 100_000

// Versioned reports whether the bucket keeps the versions of its objects, as
// shown by one that exists.
func (b *Bucket) Versioned(ctx context.Context, key string) (bool, error) {
	versions, err := b.versions(ctx, key)
	for _, v := range versions {
		if id := value(v.VersionId); id != "" && id != "null" {
			return true, nil
		}
	}
	return false, err
}

// DeleteVersions removes objects with all versions that there are of them when
// it looks, by their version IDs: unlike Delete it leaves no marker, frees their
// space, and cannot hide a version that comes later. A key that does not exist
// is not an error.
func (b *Bucket) DeleteVersions(ctx context.Context, keys ...string) error {
	found := make([][]types.ObjectIdentifier, len(keys))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(versionLookups)
	for i, key := range keys {
		g.Go(func() (err error) {
			found[i], err = b.versions(gctx, key)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// The current version goes last: else an older one would be seen.
	var older, current []types.ObjectIdentifier
	for _, versions := range found {
		if len(versions) > 0 {
			current, older = append(current, versions[0]), append(older, versions[1:]...)
		}
	}
	if err := b.deleteIDs(ctx, older); err != nil {
		return err
	}
	return b.deleteIDs(ctx, current)
}

// versions returns the versions of an object, markers too, the newest first.
func (b *Bucket) versions(ctx context.Context, key string) ([]types.ObjectIdentifier, error) {
	full, err := b.key(key)
	if err != nil {
		return nil, b.fail(ctx, "Versions", key, err)
	}
	var current, older []types.ObjectIdentifier
	seen, idle, beyond := map[string]bool{}, 0, false
	note := func(name, id *string, latest *bool) {
		if value(name) != full {
			beyond = true // keys rise, so that a longer one ends the versions
			return
		}
		if seen[value(id)] {
			return
		}
		seen[value(id)], idle = true, 0
		v := types.ObjectIdentifier{Key: name, VersionId: id}
		if value(latest) {
			current = append(current, v)
		} else {
			older = append(older, v)
		}
	}
	in := &s3.ListObjectVersionsInput{Bucket: &b.name, Prefix: &full, RequestPayer: b.opts.requestPayer()}
	for {
		out, err := b.client.ListObjectVersions(ctx, in)
		if err != nil {
			return nil, b.fail(ctx, "Versions", key, err)
		}
		for i := range out.Versions {
			v := &out.Versions[i]
			note(v.Key, v.VersionId, v.IsLatest)
		}
		for i := range out.DeleteMarkers {
			m := &out.DeleteMarkers[i]
			note(m.Key, m.VersionId, m.IsLatest)
		}
		switch idle++; {
		case !value(out.IsTruncated) || beyond:
			return append(current, older...), nil
		case len(seen) > maxVersions:
			return nil, b.fail(ctx, "Versions", key, fmt.Errorf("it has more than %d versions", maxVersions))
		case idle >= maxIdlePages:
			return nil, b.fail(ctx, "Versions", key, errors.New("the server's listing of versions does not go on"))
		}
		in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
	}
}

func (b *Bucket) deleteIDs(ctx context.Context, ids []types.ObjectIdentifier) error {
	for len(ids) > 0 {
		batch := ids[:min(len(ids), maxBatch)]
		ids = ids[len(batch):]
		var opts []func(*s3.Options)
		if b.opts.Dialect == DialectCompatible {
			opts = append(opts, contentMD5)
		}
		out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
			Bucket:       &b.name,
			Delete:       &types.Delete{Objects: batch, Quiet: aws.Bool(true)},
			RequestPayer: b.opts.requestPayer(),
		}, opts...)
		if err != nil {
			return b.fail(ctx, "Delete", "", err)
		}
		for i := range out.Errors {
			e := &out.Errors[i]
			if code := value(e.Code); code != "NoSuchKey" && code != "NoSuchVersion" {
				return b.fail(ctx, "Delete", value(e.Key), &smithy.GenericAPIError{Code: code, Message: value(e.Message)})
			}
		}
	}
	return nil
}
