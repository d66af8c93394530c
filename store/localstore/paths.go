package localstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

// PathInfo returns what the database knows of a path, or store.ErrNotFound.
// The caller owns the result.
func (s *Store) PathInfo(ctx context.Context, p storepath.Path) (*narinfo.PathInfo, error) {
	r, err := s.Record(ctx, p)
	if err != nil {
		return nil, err
	}
	return &r.NarInfo.PathInfo, nil
}

// The whole of a path in one statement, so that all is of one moment. No store
// path has a line feed.
const selectRecord = `
	SELECT v.hash, v.narSize, v.deriver, v.registrationTime, v.ultimate, v.sigs, v.ca,
		(SELECT group_concat(r.path, char(10)) FROM Refs JOIN ValidPaths r ON r.id = reference WHERE referrer = v.id)
	FROM ValidPaths v WHERE v.path = ?`

// row is what selectRecord yields.
type row struct {
	hash                 string
	narSize              sql.NullInt64
	deriver              sql.NullString
	registrationTime     int64
	ultimate             sql.NullBool
	sigs, ca, references sql.NullString
}

// Record is PathInfo with when the path was registered, in seconds, and whether
// it was built here.
func (s *Store) Record(ctx context.Context, p storepath.Path) (*narinfo.Record, error) {
	var r row
	err := s.db.read(ctx, func(c *sql.Conn) error {
		return c.QueryRowContext(ctx, selectRecord, s.opts.StoreDir.Join(p)).
			Scan(&r.hash, &r.narSize, &r.deriver, &r.registrationTime, &r.ultimate, &r.sigs, &r.ca, &r.references)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%s in %s: %w", p, s, store.ErrNotFound)
	}
	if err != nil {
		return nil, s.failed(err)
	}
	record, err := r.record(s.opts.StoreDir, p)
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w", p, s, err)
	}
	return record, nil
}

func (r *row) record(dir storepath.Dir, p storepath.Path) (*narinfo.Record, error) {
	record := &narinfo.Record{RegistrationTime: r.registrationTime, Ultimate: r.ultimate.Bool}
	info := &record.NarInfo.PathInfo
	info.StoreDir, info.Path = dir, p
	var err error
	if info.NarHash, err = nixhash.Parse(r.hash); err != nil {
		return nil, fmt.Errorf("column hash: %w", err)
	}
	if info.NarHash.Algorithm() != nixhash.SHA256 {
		return nil, fmt.Errorf("column hash: %v, expected a hash of sha256", info.NarHash)
	}
	if info.NarSize = r.narSize.Int64; info.NarSize <= 0 {
		return nil, fmt.Errorf("column narSize: %d, expected a positive number", info.NarSize)
	}
	if r.deriver.String != "" {
		if info.Deriver, err = dir.Parse(r.deriver.String); err != nil {
			return nil, fmt.Errorf("column deriver: %w", err)
		}
	}
	for text := range strings.FieldsSeq(r.sigs.String) {
		// As in a narinfo, a text that is not a signature does not count.
		if sig, err := narinfo.ParseSignature(text); err == nil {
			info.Signatures = append(info.Signatures, sig)
		}
	}
	if r.ca.String != "" {
		if info.CA, err = storepath.ParseContentAddress(r.ca.String); err != nil {
			return nil, fmt.Errorf("column ca: %w", err)
		}
	}
	if r.references.String != "" {
		for full := range strings.SplitSeq(r.references.String, "\n") {
			ref, err := dir.Parse(full)
			if err != nil {
				return nil, fmt.Errorf("references: %w", err)
			}
			info.References = append(info.References, ref)
		}
		slices.SortFunc(info.References, storepath.Path.Compare)
	}
	return record, nil
}

// PathByHash returns the valid path with a hash part, the first 32 characters
// of its base name, or store.ErrNotFound.
func (s *Store) PathByHash(ctx context.Context, hashPart string) (storepath.Path, error) {
	if err := storepath.CheckHashPart(hashPart); err != nil {
		return storepath.Path{}, err
	}
	prefix := string(s.opts.StoreDir) + "/" + hashPart + "-"
	var full string
	err := s.db.read(ctx, func(c *sql.Conn) error {
		return c.QueryRowContext(ctx, `SELECT path FROM ValidPaths WHERE path >= ? ORDER BY path LIMIT 1`, prefix).Scan(&full)
	})
	if errors.Is(err, sql.ErrNoRows) || err == nil && !strings.HasPrefix(full, prefix) {
		return storepath.Path{}, fmt.Errorf("%s-… in %s: %w", hashPart, s, store.ErrNotFound)
	}
	if err != nil {
		return storepath.Path{}, s.failed(err)
	}
	return s.opts.StoreDir.Parse(full)
}

// pageSize is how many paths are read at a time. Between two pages nothing is
// held that a writer could wait for.
const pageSize = 256

// AllPaths yields every valid path, the oldest first. Paths that come or go
// meanwhile may be among them or not. A row that is no store path is an error
// that does not end the iteration.
func (s *Store) AllPaths(ctx context.Context) iter.Seq2[storepath.Path, error] {
	return func(yield func(storepath.Path, error) bool) {
		var last int64
		for {
			ids, paths, err := s.page(ctx, last)
			if err != nil {
				yield(storepath.Path{}, err)
				return
			}
			for _, full := range paths {
				p, err := s.opts.StoreDir.Parse(full)
				if err != nil {
					err = fmt.Errorf("%s: %w", s, err)
				}
				if !yield(p, err) {
					return
				}
			}
			if len(ids) < pageSize {
				return
			}
			last = ids[len(ids)-1]
		}
	}
}

// page reads the paths with the next greater ids.
func (s *Store) page(ctx context.Context, after int64) (ids []int64, paths []string, err error) {
	err = s.db.read(ctx, func(c *sql.Conn) error {
		ids, paths = ids[:0], paths[:0]
		rows, err := c.QueryContext(ctx, `SELECT id, path FROM ValidPaths WHERE id > ? ORDER BY id LIMIT ?`, after, pageSize)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var path string
			if err := rows.Scan(&id, &path); err != nil {
				return err
			}
			ids, paths = append(ids, id), append(paths, path)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, nil, s.failed(err)
	}
	return ids, paths, nil
}

// checkStoreDir looks at one path, and at the tables.
func (s *Store) checkStoreDir(ctx context.Context) error {
	if _, err := s.Record(ctx, storepath.Path{}); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	_, paths, err := s.page(ctx, 0)
	if err != nil || len(paths) == 0 {
		return err
	}
	if !strings.HasPrefix(paths[0], string(s.opts.StoreDir)+"/") {
		return fmt.Errorf("%w: it has %q, expected paths in %s; Options.StoreDir and the parameter store of a URL say where",
			store.ErrStoreDir, paths[0], s.opts.StoreDir)
	}
	return nil
}

// failed says which database could not be read.
func (s *Store) failed(err error) error {
	if se := (*sqlite.Error)(nil); errors.As(err, &se) && se.Code() == sqlite3.SQLITE_ERROR {
		return fmt.Errorf("%s is not a Nix database of schema %s: %w", s.db.file, schema, err)
	}
	return fmt.Errorf("reading Nix's database %s: %w", s.db.file, err)
}
