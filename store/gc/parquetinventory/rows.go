package parquetinventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"example.com/nixs3/store/blob"
)

// batch is how many rows are read at once.
const batch = 1024

// readGroup calls visit for the objects of a row group.
func readGroup(ctx context.Context, meta format.RowGroup, group parquet.RowGroup, file bounded, c *columns, visit func(blob.Attrs) bool) error {
	chunks := group.ColumnChunks()
	if len(chunks) != len(meta.Columns) {
		return fmt.Errorf("expected %d columns, got %d", len(chunks), len(meta.Columns))
	}
	var readers [6]*reader
	for n, p := range []place{c.key, c.size, c.modified, c.etag, c.latest, c.deleteMarker} {
		if p.index < 0 {
			readers[n] = &reader{}
			continue
		}
		if err := file.checkChunk(&meta.Columns[p.index].MetaData, p.nullable); err != nil {
			return fmt.Errorf("column %d: %w", p.index, err)
		}
		r := &reader{values: parquet.NewColumnChunkValueReader(chunks[p.index])}
		defer r.values.Close()
		readers[n] = r
	}
	key, size, modified, etag, latest, deleteMarker := readers[0], readers[1], readers[2], readers[3], readers[4], readers[5]
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := fill(readers[:])
		if err != nil || n == 0 {
			return err
		}
		for i := range n {
			if current := latest.at(i); !current.IsNull() && !current.Boolean() {
				continue
			}
			if marker := deleteMarker.at(i); !marker.IsNull() && marker.Boolean() {
				continue
			}
			attrs := blob.Attrs{Key: text(key.at(i)), ETag: text(etag.at(i))}
			if v := size.at(i); !v.IsNull() {
				attrs.Size = v.Int64()
			}
			if v := modified.at(i); !v.IsNull() {
				attrs.ModTime = timeOf(v.Int64(), c.modified.unit)
			}
			if !visit(attrs) {
				return errStopped
			}
		}
	}
}

func text(v parquet.Value) string {
	if v.IsNull() {
		return ""
	}
	return string(v.ByteArray())
}

// timeOf returns the time that is n units after 1970.
func timeOf(n int64, unit time.Duration) time.Time {
	perSecond := int64(time.Second / unit)
	return time.Unix(n/perSecond, n%perSecond*int64(unit)).UTC()
}

// reader reads a column in batches. One without values is a missing column.
type reader struct {
	values parquet.ColumnChunkValueReader
	batch  [batch]parquet.Value
}

// at returns the value of a row of the batch, which is null where the column is
// missing.
func (r *reader) at(i int) parquet.Value {
	if r.values == nil {
		return parquet.Value{}
	}
	return r.batch[i]
}

// read reads at most n values. It returns fewer only at the end of the column.
func (r *reader) read(n int) (int, error) {
	got := 0
	for got < n {
		m, err := r.values.ReadValues(r.batch[got:n])
		// The bytes of a value are those of its page, which the next read may
		// release.
		for i := got; i < got+m; i++ {
			r.batch[i] = r.batch[i].Clone()
		}
		got += m
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		if m == 0 {
			return got, io.ErrNoProgress
		}
	}
	return got, nil
}

// fill reads the next batch of all columns and returns how many rows it has.
func fill(readers []*reader) (int, error) {
	rows, err := readers[0].read(batch) // of the keys, which no file lacks
	if err != nil {
		return 0, err
	}
	for _, r := range readers[1:] {
		if r.values == nil {
			continue
		}
		got, err := r.read(max(rows, 1))
		if err == nil && got != rows {
			err = fmt.Errorf("expected columns of the same length, got %d and %d values", rows, got)
		}
		if err != nil {
			return 0, err
		}
	}
	return rows, nil
}
