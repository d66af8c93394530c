package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
)

const (
	cacheInfoKey = "nix-cache-info"
	narDir       = "nar/"

	cacheInfoType = "text/x-nix-cache-info"
	narInfoType   = "text/x-nix-narinfo"
	narType       = "application/x-nix-nar"
	jsonType      = "application/json"
	logType       = "text/plain; charset=utf-8"

	cacheInfoLimit = 64 << 10
)

// Cache is a binary cache in a bucket. It implements BinaryCacheStore.
type Cache struct {
	bucket   *metered
	settings Settings
	infos    *infoCache
	stored   storedPaths

	// Whoever needs several of these takes them in this order, also those of
	// several caches. So nobody waits for a place that is held by somebody who
	// waits for him, as two copies in opposite directions would.
	reads    *gate
	adding   keyedMutex
	decoders *gate // bytes
	writes   *gate
	encoders *gate // bytes

	ahead *gate // bytes, of decoders that use several cores; nobody waits for it

	// opening is held while the cache's description is read or written;
	// description is nil until it was.
	opening     chan struct{}
	description *description
}

// description is what the bucket's nix-cache-info said.
type description struct {
	info    narinfo.CacheInfo
	present bool
}

var _ BinaryCacheStore = (*Cache)(nil)

// New returns the cache in a bucket. Nothing is asked of the bucket before the
// first use. Close closes the bucket.
func New(b blob.Bucket, s Settings) (*Cache, error) {
	if err := s.setDefaults(); err != nil {
		return nil, err
	}
	return &Cache{
		bucket:   &metered{Bucket: b, requests: newGate(int64(s.Budget.Requests))},
		settings: s,
		infos:    newInfoCache(s.PathInfoCacheSize),
		reads:    newGate(int64(s.Budget.Transfers)),
		decoders: newGate(s.Budget.decoding()),
		writes:   newGate(int64(s.Budget.Transfers)),
		encoders: newGate(s.Budget.encoding()),
		ahead:    newGate(s.Budget.ahead()),
		opening:  make(chan struct{}, 1),
	}, nil
}

// String names the bucket.
func (c *Cache) String() string { return c.bucket.String() }

// StoreDir is the store directory of the cache's paths.
func (c *Cache) StoreDir() storepath.Dir { return c.settings.StoreDir }

// Bucket returns the bucket below. What is done with it directly is not
// counted and not bounded.
func (c *Cache) Bucket() blob.Bucket { return c.bucket.Bucket }

// Settings returns the settings of the cache, with the defaults put in. Another
// cache over the same bucket can be made of them.
func (c *Cache) Settings() Settings { return c.settings }

// Stats returns what was asked of the bucket so far.
func (c *Cache) Stats() Stats { return c.bucket.stats() }

// Close closes the bucket.
func (c *Cache) Close() error { return c.bucket.Close() }

// CacheInfo returns the cache's description: that of the bucket, with the
// settings in place of what they override.
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

// describe reads nix-cache-info once and checks that the cache is for our
// store directory. A cache without one is taken as it is, as Nix does.
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
	data, _, err := blob.ReadAll(ctx, c.bucket, cacheInfoKey, cacheInfoLimit)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoSuchBucket) && c.makesBucket() {
		return &description{}, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := narinfo.ParseCacheInfo(data)
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w", cacheInfoKey, c, err)
	}
	if info.StoreDir != "" && info.StoreDir != c.settings.StoreDir {
		return nil, fmt.Errorf("%w: %s holds paths of %s, wanted %s; ask for it with the parameter store=%s",
			ErrStoreDir, c, info.StoreDir, c.settings.StoreDir, info.StoreDir)
	}
	return &description{info: *info, present: true}, nil
}

// makesBucket reports whether the first write makes a bucket that is missing.
func (c *Cache) makesBucket() bool {
	_, ok := blob.As[*fileblob.Bucket](c.bucket.Bucket)
	return ok
}

// ensureDescribed writes nix-cache-info where it is missing, so that Nix knows
// the bucket for a cache.
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
	_, err = c.bucket.Put(ctx, cacheInfoKey, bytes.NewReader(text), blob.PutOptions{ContentType: cacheInfoType, IfNoneMatch: true})
	if errors.Is(err, blob.ErrPrecondition) {
		// Somebody else was first; what they wrote counts.
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
// that there is none. S3 answers 403 for a missing key where the bucket may not
// be listed; that it may be read at all was seen when nix-cache-info was.
func (c *Cache) missing(ctx context.Context, err error) bool {
	if errors.Is(err, ErrNotFound) {
		return true
	}
	var be *blob.Error
	if !errors.As(err, &be) || !errors.Is(err, ErrAccessDenied) || refusesSigner(be.Code) {
		return false
	}
	d, derr := c.describe(ctx)
	return derr == nil && d.present
}

// refusesSigner tells the 403 that is about the caller's own signature or keys
// from the one that is about the object.
func refusesSigner(code string) bool {
	switch code {
	case "SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "RequestTimeTooSkewed",
		"AuthorizationHeaderMalformed", "TokenRefreshRequired", "InvalidSecurity", "AccountProblem", "NotSignedUp":
		return true
	}
	return false
}

// refKey is the key that a narinfo's URL means in a bucket that is not a web
// server: the reference's path, resolved against the root of the cache.
func refKey(ref string) (string, error) {
	u, err := url.Parse(ref)
	if err != nil {
		return "", fmt.Errorf("URL %q in narinfo: %w", ref, err)
	}
	if u.IsAbs() || u.Host != "" {
		return "", fmt.Errorf("URL %q in narinfo leads out of the cache, which only a web server's may", ref)
	}
	key := strings.TrimPrefix(path.Clean("/"+u.Path), "/")
	if key == "" {
		return "", fmt.Errorf("URL %q in narinfo names no object", ref)
	}
	return key, nil
}
