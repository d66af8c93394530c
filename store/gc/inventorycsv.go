package gc

import (
	"compress/gzip"
	"context"
	"encoding/csv"
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

// inventoryFields are the places of the columns, -1 for one that is missing.
type inventoryFields struct {
	key, size, modified, etag int
	latest, deleteMarker      int
}

// csvFields reads the schema of an inventory in CSV, such as
// "Bucket, Key, Size, LastModifiedDate, ETag".
func csvFields(schema string) (*inventoryFields, error) {
	columns := strings.Split(schema, ",")
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	f := &inventoryFields{}
	for _, column := range []struct {
		name     string
		place    *int
		optional bool
	}{
		{"Key", &f.key, false}, {"Size", &f.size, false}, {"LastModifiedDate", &f.modified, false}, {"ETag", &f.etag, false},
		{"IsLatest", &f.latest, true}, {"IsDeleteMarker", &f.deleteMarker, true},
	} {
		if *column.place = slices.Index(columns, column.name); *column.place < 0 && !column.optional {
			return nil, fmt.Errorf("expected the field %s, got %.500s", column.name, schema)
		}
	}
	return f, nil
}

// readInventoryCSV is the InventoryFormat of CSV, compressed by gzip.
func readInventoryCSV(ctx context.Context, file io.Reader, schema string) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		failed := func(err error) { yield(blob.Attrs{}, err) }
		fields, err := csvFields(schema)
		if err != nil {
			failed(err)
			return
		}
		plain, err := gzip.NewReader(file)
		if err != nil {
			failed(err)
			return
		}
		text := &rowText{ctx: ctx, r: plain}
		rows := csv.NewReader(text)
		rows.ReuseRecord = true
		for {
			text.left = maxRow
			row, err := rows.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				failed(err)
				return
			}
			attrs, ok, err := fields.parse(row)
			if err != nil {
				failed(err)
				return
			}
			if ok && !yield(attrs, nil) {
				return
			}
		}
	}
}

// parse reads a row. It reports whether the row is the latest version of an
// object.
func (f *inventoryFields) parse(row []string) (attrs blob.Attrs, ok bool, err error) {
	if len(row) <= max(f.key, f.size, f.modified, f.etag, f.latest, f.deleteMarker) {
		return attrs, false, fmt.Errorf("expected a row of more fields, got %d", len(row))
	}
	if f.latest >= 0 && row[f.latest] == "false" || f.deleteMarker >= 0 && row[f.deleteMarker] == "true" {
		return attrs, false, nil
	}
	key, err := url.QueryUnescape(row[f.key])
	if err != nil {
		return attrs, false, err
	}
	size, err := strconv.ParseInt(row[f.size], 10, 64)
	if err != nil {
		return attrs, false, fmt.Errorf("object %.100q: expected a size, got %.100q", key, row[f.size])
	}
	modified, err := time.Parse(time.RFC3339, row[f.modified])
	if err != nil {
		return attrs, false, fmt.Errorf("object %.100q: expected a time, got %.100q", key, row[f.modified])
	}
	return blob.Attrs{Key: strings.Clone(key), Size: size, ETag: strings.Clone(row[f.etag]), ModTime: modified}, true, nil
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
