package store

import (
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/lease"
)

// Cache is a binary cache in a bucket. It implements BinaryCacheStore.
type Cache struct {
	bucket   *meter
	settings Settings
	infos    *infoCache
	places   *places
	stored   storedKeys
	writers  *lease.Writers
	presence presenceIndex

	// opening is held while the cache's description is read or written;
	// description is nil until it was.
	opening     chan struct{}
	description *description
}

// description has the contents of the bucket's nix-cache-info.
type description struct {
	info    narinfo.CacheInfo
	present bool
}

var _ BinaryCacheStore = (*Cache)(nil)

// New returns the cache in a bucket. It sends no request. Close closes the
// bucket.
func New(b blob.Bucket, s Settings) (*Cache, error) {
	if err := s.setDefaults(); err != nil {
		return nil, err
	}
	places := newPlaces(&s.Budget)
	bucket := newMeter(b, places.requests)
	return &Cache{
		bucket:   bucket,
		settings: s,
		infos:    newInfoCache(s.PathInfoCacheSize),
		places:   places,
		writers:  lease.NewWriters(bucket, s.Logger),
		presence: presenceIndex{loading: make(chan struct{}, 1)},
		opening:  make(chan struct{}, 1),
	}, nil
}

// String names the bucket.
func (c *Cache) String() string { return c.bucket.String() }

// StoreDir is the store directory of the cache's paths.
func (c *Cache) StoreDir() storepath.Dir { return c.settings.StoreDir }

// Bucket returns the cache's bucket. The budget and Stats do not cover direct
// use of it.
func (c *Cache) Bucket() blob.Bucket { return c.bucket.Unwrap() }

// Settings returns the settings of the cache, with the defaults filled in. They
// can be used for another cache over the same bucket.
func (c *Cache) Settings() Settings { return c.settings }

// Stats returns the counts of the requests to the bucket so far.
func (c *Cache) Stats() Stats { return c.bucket.stats() }

// Close closes the bucket.
func (c *Cache) Close() error { return c.bucket.Close() }
