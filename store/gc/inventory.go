package gc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"example.com/nixs3/store/blob"
)

// Inventory is a list of the objects of a bucket that S3 Inventory made: a
// manifest and the files that it names. It replaces the listing of archives, the
// longest of all. An object that was uploaded since is not in it, and stays. An
// object that it lists is looked at again before it is destroyed.
type Inventory struct {
	b      blob.Bucket // in which the files are
	source string
	prefix string // of the cache in the bucket that the inventory describes
	schema string
	format InventoryFormat
	files  []inventoryFile
}

// SourceBucket returns the name of the bucket that the inventory describes.
func (inv *Inventory) SourceBucket() string { return inv.source }

// InventoryFormat reads a file of an inventory. It yields the objects with their
// whole keys, and leaves out delete markers and versions that are not the latest.
// The schema is that of the manifest. A file that ends with io.EOF is whole and
// has the digest of the manifest.
type InventoryFormat func(ctx context.Context, file io.Reader, schema string) iter.Seq2[blob.Attrs, error]

var inventoryFormats = struct {
	sync.RWMutex
	byName map[string]InventoryFormat
}{byName: map[string]InventoryFormat{"CSV": readInventoryCSV}}

// RegisterInventoryFormat makes a format of S3 Inventory known by the name that
// manifests give it. CSV is known. Package parquetinventory registers Parquet.
func RegisterInventoryFormat(name string, f InventoryFormat) {
	inventoryFormats.Lock()
	defer inventoryFormats.Unlock()
	inventoryFormats.byName[name] = f
}

// manifestLimit bounds the manifest of an inventory in bytes.
const manifestLimit = 16 << 20

// OpenInventory reads the manifest.json of an S3 Inventory in a bucket, which
// must be the root of the one that the inventory was delivered to. prefix is that
// of the cache in the bucket that the inventory describes, such as "cache/". The
// inventory must have the fields Size, LastModifiedDate and ETag.
func OpenInventory(ctx context.Context, b blob.Bucket, manifest, prefix string) (*Inventory, error) {
	data, _, err := blob.ReadAll(ctx, b, manifest, manifestLimit)
	if err != nil {
		return nil, err
	}
	inv, err := parseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("inventory manifest %s in %s: %w", manifest, b, err)
	}
	inv.b, inv.prefix = b, prefix
	return inv, nil
}

func parseManifest(data []byte) (*Inventory, error) {
	var m struct {
		Source string          `json:"sourceBucket"`
		Format string          `json:"fileFormat"`
		Schema string          `json:"fileSchema"`
		Files  []inventoryFile `json:"files"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	inventoryFormats.RLock()
	defer inventoryFormats.RUnlock()
	inv := &Inventory{source: m.Source, schema: m.Schema, files: m.Files, format: inventoryFormats.byName[m.Format]}
	if inv.format == nil {
		return nil, fmt.Errorf("expected one of the formats %s, got %.100q",
			strings.Join(slices.Sorted(maps.Keys(inventoryFormats.byName)), " and "), m.Format)
	}
	if m.Format == "CSV" {
		if _, err := csvFields(m.Schema); err != nil {
			return nil, err
		}
	}
	for _, f := range m.Files {
		if blob.ValidateKey(f.Key) != nil {
			return nil, fmt.Errorf("expected the keys of files, got %.100q", f.Key)
		}
	}
	return inv, nil
}

// List yields the objects that opts select, in the order of the files.
func (inv *Inventory) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		for _, f := range inv.files {
			for attrs, err := range f.read(ctx, inv) {
				if err != nil {
					yield(blob.Attrs{}, fmt.Errorf("inventory file %s in %s: %w", f.Key, inv.b, err))
					return
				}
				key, ok := strings.CutPrefix(attrs.Key, inv.prefix)
				if !ok || !opts.Selects(key) {
					continue
				}
				attrs.Key = key
				if !yield(attrs, nil) {
					return
				}
			}
		}
	}
}

// checkRow fails for an object that cannot be.
func checkRow(attrs blob.Attrs) error {
	switch {
	case blob.ValidateKey(attrs.Key) != nil:
		return fmt.Errorf("expected a key, got %.100q", attrs.Key)
	case attrs.Size < 0:
		return fmt.Errorf("object %.100q: expected a size that is not negative, got %d", attrs.Key, attrs.Size)
	case attrs.ModTime.Unix() <= 0:
		return fmt.Errorf("object %.100q: expected the time of its last modification, got %v", attrs.Key, attrs.ModTime)
	}
	return nil
}

// errInventory is an inventory file that is not what its manifest says.
var errInventory = errors.New("not the file that the manifest names")
