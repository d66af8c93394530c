package gc

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/nixs3/store/blob"
)

// Inventory is a list of the objects of a bucket that S3 Inventory made: CSV
// files, compressed by gzip, and a manifest that names them. It takes the place
// of the listing of archives, the longest of all. What was uploaded since is not
// in it, and stays; what was deleted since is deleted once more.
type Inventory struct {
	b      blob.Bucket // in which the files are
	prefix string      // of the cache in the bucket that the inventory describes
	files  []string    // keys
	fields inventoryFields
}

// inventoryFields are the places of the columns.
type inventoryFields struct {
	key, size, modified, etag     int
	version, latest, deleteMarker int
}

// manifestLimit bounds the manifest of an inventory in bytes.
const manifestLimit = 16 << 20

// OpenInventory reads the manifest.json of an S3 Inventory in a bucket, which
// must be the root of the one that the inventory was delivered to. prefix is that
// of the cache in the bucket that the inventory describes, such as "cache/". The
// format must be CSV, with the fields Size, LastModifiedDate and ETag.
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
		Format string `json:"fileFormat"`
		Schema string `json:"fileSchema"`
		Files  []struct {
			Key string `json:"key"`
		} `json:"files"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	if m.Format != "CSV" {
		return nil, fmt.Errorf("expected the format CSV, got %.100q", m.Format)
	}
	columns := strings.Split(m.Schema, ",")
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	inv := &Inventory{}
	for name, place := range map[string]*int{
		"Key": &inv.fields.key, "Size": &inv.fields.size, "LastModifiedDate": &inv.fields.modified, "ETag": &inv.fields.etag,
		"VersionId": &inv.fields.version, "IsLatest": &inv.fields.latest, "IsDeleteMarker": &inv.fields.deleteMarker,
	} {
		if *place = slices.Index(columns, name); *place < 0 && !strings.HasPrefix(name, "Is") && name != "VersionId" {
			return nil, fmt.Errorf("expected the field %s, got %.500s", name, m.Schema)
		}
	}
	for _, f := range m.Files {
		if blob.ValidateKey(f.Key) != nil {
			return nil, fmt.Errorf("expected the keys of files, got %.100q", f.Key)
		}
		inv.files = append(inv.files, f.Key)
	}
	return inv, nil
}

// List yields the objects that opts select, in the order of the files.
func (inv *Inventory) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		for _, key := range inv.files {
			more, err := inv.listFile(ctx, key, opts, yield)
			if err != nil {
				yield(blob.Attrs{}, fmt.Errorf("inventory file %s in %s: %w", key, inv.b, err))
			}
			if err != nil || !more {
				return
			}
		}
	}
}

func (inv *Inventory) listFile(ctx context.Context, key string, opts blob.ListOptions, yield func(blob.Attrs, error) bool) (more bool, err error) {
	obj, err := inv.b.Get(ctx, key, blob.GetOptions{})
	if err != nil {
		return false, err
	}
	defer obj.Body.Close()
	plain, err := gzip.NewReader(obj.Body)
	if err != nil {
		return false, err
	}
	text := &rowText{ctx: ctx, r: plain}
	rows := csv.NewReader(text)
	rows.ReuseRecord = true
	for {
		text.left = maxRow
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		attrs, ok, err := inv.fields.parse(row, inv.prefix)
		if err != nil {
			return false, err
		}
		if ok && opts.Selects(attrs.Key) && !yield(attrs, nil) {
			return false, nil
		}
	}
}

// maxRow bounds a row of an inventory in bytes. Keys have at most 1024.
const maxRow = 64 << 10

// rowText is the text of an inventory file. Reading it fails after the end of
// the context, and in a row that is longer than maxRow.
type rowText struct {
	ctx  context.Context
	r    io.Reader
	left int // bytes until the row is too long
}

func (t *rowText) Read(p []byte) (int, error) {
	switch {
	case t.ctx.Err() != nil:
		return 0, context.Cause(t.ctx)
	case t.left <= 0:
		return 0, fmt.Errorf("expected rows of at most %d bytes", maxRow)
	}
	n, err := t.r.Read(p[:min(len(p), t.left)])
	t.left -= n
	return n, err
}

// parse reads a row. It reports whether the row is an object of the cache.
func (f *inventoryFields) parse(row []string, prefix string) (attrs blob.Attrs, ok bool, err error) {
	if len(row) <= max(f.key, f.size, f.modified, f.etag, f.latest, f.deleteMarker) {
		return attrs, false, fmt.Errorf("expected a row of more fields, got %d", len(row))
	}
	if f.latest >= 0 && row[f.latest] == "false" || f.deleteMarker >= 0 && row[f.deleteMarker] == "true" {
		return attrs, false, nil
	}
	full, err := url.QueryUnescape(row[f.key])
	if err != nil {
		return attrs, false, err
	}
	key, ok := strings.CutPrefix(full, prefix)
	if !ok {
		return attrs, false, nil
	}
	size, err := strconv.ParseInt(row[f.size], 10, 64)
	if err != nil || size < 0 {
		return attrs, false, fmt.Errorf("expected a size, got %.100q", row[f.size])
	}
	modified, err := time.Parse(time.RFC3339, row[f.modified])
	if err != nil {
		return attrs, false, fmt.Errorf("expected a time, got %.100q", row[f.modified])
	}
	return blob.Attrs{Key: strings.Clone(key), Size: size, ETag: row[f.etag], ModTime: modified}, true, nil
}
