package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/gc"
	_ "example.com/nixs3/store/gc/parquetinventory" // inventories in Parquet
)

// collect runs the collection, with a manifest where one is asked for.
func (c *gcCommand) collect(ctx context.Context, con *console, cache *store.Cache, opts gc.Options) (report *gc.Report, err error) {
	if c.Manifest == "" || c.DryRun {
		return gc.Collect(ctx, cache, opts)
	}
	bucket, prefix, err := objectsOf(c.Store)
	if err != nil {
		return &gc.Report{}, err
	}
	dst, err := openManifest(ctx, con, c.Manifest)
	if err != nil {
		return &gc.Report{}, err
	}
	defer func() { err = errors.Join(err, dst.close()) }()
	buffered := bufio.NewWriter(dst.file)
	lines := csv.NewWriter(buffered)
	opts.Manifest = func(key string) error { return lines.Write([]string{bucket, escapeKey(prefix + key)}) }
	report, err = gc.Collect(ctx, cache, opts)
	// What the manifest names is garbage, even if the run failed later.
	lines.Flush()
	return report, errors.Join(err, lines.Error(), buffered.Flush(), dst.publish(ctx))
}

// escapeKey encodes a key as S3 Batch Operations reads it.
func escapeKey(key string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(key))
}

// manifestFile is a manifest on its way to where it is wanted.
type manifestFile struct {
	file *os.File

	// Of an object; nil where the manifest is a file.
	cache *store.Cache
	key   string
}

// openManifest opens a file, or what is to become an object in S3.
func openManifest(ctx context.Context, con *console, at string) (*manifestFile, error) {
	if !strings.HasPrefix(at, "s3://") {
		f, err := os.Create(at)
		return &manifestFile{file: f}, err
	}
	cache, key, err := openObject(ctx, con, at)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "nixs3-manifest-*")
	if err != nil {
		return nil, errors.Join(err, cache.Close())
	}
	return &manifestFile{f, cache, key}, nil
}

// publish stores the object.
func (m *manifestFile) publish(ctx context.Context) error {
	if m.cache == nil {
		return nil
	}
	size, err := m.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	_, err = m.cache.Bucket().Put(context.WithoutCancel(ctx), m.key, io.NewSectionReader(m.file, 0, size), blob.PutOptions{ContentType: "text/csv"})
	return err
}

func (m *manifestFile) close() error {
	err := m.file.Close()
	if m.cache == nil {
		return err
	}
	return errors.Join(err, os.Remove(m.file.Name()), m.cache.Close())
}

// openObject opens the bucket of an s3:// URL whose path is a key.
func openObject(ctx context.Context, con *console, rawURL string) (bucket *store.Cache, key string, err error) {
	at, err := s3url.Parse(rawURL)
	if err != nil {
		return nil, "", err
	}
	key, at.Prefix = strings.Trim(at.Prefix, "/"), ""
	if key == "" {
		return nil, "", fmt.Errorf("expected an s3:// URL with a key, such as s3://bucket/folder/manifest?region=…, got %s", at)
	}
	bucket, err = openCache(ctx, con, at.String())
	return bucket, key, err
}

// objectsOf returns the bucket of an s3:// URL and what its keys begin with.
func objectsOf(rawURL string) (bucket, prefix string, err error) {
	u, err := s3url.Parse(rawURL)
	if err != nil {
		return "", "", fmt.Errorf("expected a cache in S3: %w", err)
	}
	if prefix = strings.Trim(u.Prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return u.Bucket, prefix, nil
}

// openInventory opens the inventory, whose bucket stays open as long as the
// command runs.
func (c *gcCommand) openInventory(ctx context.Context, con *console) (*gc.Inventory, error) {
	bucket, prefix, err := objectsOf(c.Store)
	if err != nil {
		return nil, err
	}
	at, key, err := openObject(ctx, con, c.Inventory)
	if err != nil {
		return nil, err
	}
	inventory, err := gc.OpenInventory(ctx, at.Bucket(), key, prefix)
	if err == nil && inventory.SourceBucket() != bucket {
		err = fmt.Errorf("expected an inventory of the bucket %s, got one of %q", bucket, inventory.SourceBucket())
	}
	return inventory, err
}
