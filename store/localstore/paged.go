package localstore

import (
	"context"
	"database/sql"
	"iter"
)

// pageSize is the number of rows that are read at a time. Between two pages the
// database is not locked.
const pageSize = 256

// paged yields the rows of a query. Its parameters are the id after which the
// rows begin, and their number; it orders them by id, which scan returns with
// each.
func paged[T any](ctx context.Context, s *Store, query string, scan func(*sql.Rows) (int64, T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for last, n := int64(0), pageSize; n == pageSize; {
			var page []T
			next := last
			err := s.db.read(ctx, func(c *sql.Conn) error {
				page = page[:0]
				rows, err := c.QueryContext(ctx, query, last, pageSize)
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
					id, row, err := scan(rows)
					if err != nil {
						return err
					}
					page, next = append(page, row), id
				}
				return rows.Err()
			})
			if err != nil {
				yield(*new(T), s.failed(err))
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			last, n = next, len(page)
		}
	}
}
