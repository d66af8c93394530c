// Package parquetinventory lets package gc read S3 Inventories in Parquet. It
// registers the format when it is imported:
//
//	import _ "example.com/nixs3/store/gc/parquetinventory"
//
// It is a package of its own so that only programs that want Parquet link the
// library. A file is read from a temporary copy, page by page, so that memory
// depends on the size of the pages. Files that would make the library allocate
// more than the bounds of this package are refused before it sees them.
package parquetinventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/gc"
)

func init() { gc.RegisterInventoryFormat("Parquet", read) }

// fileLimit bounds a file of an inventory in bytes. Those of S3 have some
// hundred MiB at most.
const fileLimit = 8 << 30

// read is the gc.InventoryFormat of Parquet. The schema is that in the file.
func read(ctx context.Context, file io.Reader, _ string) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		f, size, err := spool(file)
		if err == nil {
			defer discard(f)
			err = readFile(ctx, f, size, func(attrs blob.Attrs) bool { return yield(attrs, nil) })
		}
		if err != nil {
			yield(blob.Attrs{}, err)
		}
	}
}

// spool copies a file to where it can be read at random.
func spool(file io.Reader) (f *os.File, size int64, err error) {
	if f, err = os.CreateTemp("", "nixs3-inventory-*"); err != nil {
		return nil, 0, err
	}
	// Where a file in use cannot be removed, discard does it.
	_ = os.Remove(f.Name())
	size, err = io.Copy(f, io.LimitReader(file, fileLimit+1))
	if err == nil && size > fileLimit {
		err = fmt.Errorf("has more than %d bytes", int64(fileLimit))
	}
	if err != nil {
		discard(f)
		return nil, 0, err
	}
	return f, size, nil
}

func discard(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// errStopped says that the caller wants no more rows.
var errStopped = errors.New("stopped")

// readFile calls visit for each object until visit returns false.
func readFile(ctx context.Context, r io.ReaderAt, size int64, visit func(blob.Attrs) bool) (err error) {
	defer func() {
		// The library panics on some damaged files.
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged Parquet file: %v", p)
		}
	}()
	if err := (bounded{r, size}).checkFooter(); err != nil {
		return err
	}
	f, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	columns, err := findColumns(f.Schema())
	if err != nil {
		return err
	}
	for n, group := range f.RowGroups() {
		err := readGroup(ctx, f.Metadata().RowGroups[n], group, bounded{r, size}, columns, visit)
		if errors.Is(err, errStopped) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("row group %d: %w", n, err)
		}
	}
	return nil
}

// columns are the places of the columns of an inventory.
type columns struct {
	key, size, modified, etag place
	latest, deleteMarker      place
}

// place is that of a column in a row group, -1 where the file has none.
type place struct {
	index    int
	nullable bool
	unit     time.Duration // of a time
}

// findColumns looks for the columns at the top level of a schema.
func findColumns(schema *parquet.Schema) (*columns, error) {
	c := &columns{}
	for _, want := range []struct {
		name     string
		place    *place
		kind     parquet.Kind
		optional bool
	}{
		{"key", &c.key, parquet.ByteArray, false},
		{"size", &c.size, parquet.Int64, false},
		{"last_modified_date", &c.modified, parquet.Int64, false},
		{"e_tag", &c.etag, parquet.ByteArray, true},
		{"is_latest", &c.latest, parquet.Boolean, true},
		{"is_delete_marker", &c.deleteMarker, parquet.Boolean, true},
	} {
		leaf, ok := schema.Lookup(want.name)
		if !ok && want.optional {
			want.place.index = -1
			continue
		}
		if !ok {
			return nil, fmt.Errorf("expected the column %s, got %s", want.name, names(schema))
		}
		kind := leaf.Node.Type().Kind()
		if kind != want.kind || leaf.MaxRepetitionLevel > 0 || leaf.MaxDefinitionLevel > 1 {
			return nil, fmt.Errorf("column %s: expected one value of type %v a row, got %v", want.name, want.kind, leaf.Node)
		}
		*want.place = place{leaf.ColumnIndex, leaf.MaxDefinitionLevel > 0, unitOf(leaf.Node.Type())}
	}
	return c, nil
}

// names lists the columns of a schema.
func names(schema *parquet.Schema) string {
	var all []string
	for _, path := range schema.Columns() {
		all = append(all, strings.Join(path, "."))
	}
	return fmt.Sprintf("%.500s", strings.Join(all, ", "))
}

// unitOf returns the unit of a time, which is a millisecond where the type does
// not tell.
func unitOf(t parquet.Type) time.Duration {
	if logical := t.LogicalType(); logical != nil {
		if timestamp, ok := logical.Value.(*format.TimestampType); ok && timestamp.Unit.Value != nil {
			return timestamp.Unit.Value.Duration()
		}
	}
	return time.Millisecond
}
