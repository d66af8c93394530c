package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/layout"
)

// CacheInfo returns the description in the bucket. The cache's settings take
// precedence over it.
func (c *Cache) CacheInfo(ctx context.Context) (*narinfo.CacheInfo, error) {
	d, err := c.describe(ctx)
	if err != nil {
		return nil, err
	}
	info := c.override(d.info)
	return &info, nil
}

func (c *Cache) override(info narinfo.CacheInfo) narinfo.CacheInfo {
	info.StoreDir = c.settings.StoreDir
	if c.settings.Priority != nil {
		info.Priority = c.settings.Priority
	}
	if c.settings.WantMassQuery != nil {
		info.WantMassQuery = c.settings.WantMassQuery
	}
	return info
}

// describe reads nix-cache-info once and checks that the cache is for the store
// directory of the settings. Like Nix, it accepts a cache without one.
func (c *Cache) describe(ctx context.Context) (*description, error) {
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c.description != nil {
		return c.description, nil
	}
	d, err := c.readDescription(ctx)
	if err != nil {
		return nil, err
	}
	c.description = d
	return d, nil
}

func (c *Cache) readDescription(ctx context.Context) (*description, error) {
	data, _, err := blob.ReadAll(ctx, c.bucket, layout.CacheInfoKey, layout.CacheInfo.Limit())
	if errors.Is(err, ErrNotFound) || errors.Is(err, blob.ErrNoSuchBucket) && c.makesBucket() {
		return &description{}, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := narinfo.ParseCacheInfo(data)
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w", layout.CacheInfoKey, c, err)
	}
	if info.StoreDir != "" && info.StoreDir != c.settings.StoreDir {
		return nil, fmt.Errorf("%w: %s: expected %s, got %s; to open it, set the parameter store=%s",
			ErrStoreDir, c, c.settings.StoreDir, info.StoreDir, info.StoreDir)
	}
	return &description{info: *info, present: true}, nil
}

// makesBucket reports whether the first write makes a bucket that is missing.
func (c *Cache) makesBucket() bool {
	_, ok := blob.As[*fileblob.Bucket](c.bucket)
	return ok
}

// ensureDescribed writes nix-cache-info if it is missing, so that Nix accepts the
// bucket as a cache.
func (c *Cache) ensureDescribed(ctx context.Context) error {
	d, err := c.describe(ctx)
	if err != nil || d.present {
		return err
	}
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if c.description.present {
		return nil
	}
	info := c.override(narinfo.CacheInfo{})
	text, err := info.MarshalText()
	if err != nil {
		return err
	}
	_, err = c.bucket.Put(ctx, layout.CacheInfoKey, bytes.NewReader(text),
		blob.PutOptions{ContentType: layout.CacheInfo.ContentType(), IfNoneMatch: true})
	if errors.Is(err, blob.ErrPrecondition) {
		// Another writer was first; use its description.
		d, err = c.readDescription(ctx)
		if err == nil {
			c.description = d
		}
		return err
	}
	if err != nil {
		return err
	}
	c.description = &description{info: info, present: true}
	return nil
}

// missing reports whether an error of reading a narinfo or a listing means
// that the object is missing. S3 answers 403 for a missing key in a bucket that the
// caller may not list. Such an answer counts as missing only where
// nix-cache-info could be read.
func (c *Cache) missing(ctx context.Context, err error) bool {
	if errors.Is(err, ErrNotFound) {
		return true
	}
	var be *blob.Error
	if !errors.As(err, &be) || !errors.Is(err, ErrAccessDenied) || refusesSigner(be.Code) ||
		be.Status == http.StatusUnauthorized || be.Status == http.StatusProxyAuthRequired {
		return false
	}
	d, derr := c.describe(ctx)
	return derr == nil && d.present
}

// refusesSigner distinguishes a 403 about the caller's own signature or keys
// from one about the object.
func refusesSigner(code string) bool {
	switch code {
	case "SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "RequestTimeTooSkewed",
		"AuthorizationHeaderMalformed", "TokenRefreshRequired", "InvalidSecurity", "AccountProblem", "NotSignedUp":
		return true
	}
	return false
}
