package localstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
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

// PathInfo returns the description of a path in the database. It fails with
// [store.ErrNotFound] if the path is not valid. The caller owns the result.
func (s *Store) PathInfo(ctx context.Context, p storepath.Path) (*narinfo.PathInfo, error) {
	r, err := s.Record(ctx, p)
	if err != nil {
		return nil, err
	}
	return &r.NarInfo.PathInfo, nil
}

// selectRecord reads all columns and references in one statement, so that they
// are consistent. Store paths do not contain line feeds.
const selectRecord = `
	SELECT v.hash, v.narSize, v.deriver, v.registrationTime, v.ultimate, v.sigs, v.ca,
		(SELECT group_concat(r.path, char(10)) FROM Refs JOIN ValidPaths r ON r.id = reference WHERE referrer = v.id)
	FROM ValidPaths v WHERE v.path = ?`

// row is a row of selectRecord.
type row struct {
	hash                 string
	narSize              sql.NullInt64
	deriver              sql.NullString
	registrationTime     int64
	ultimate             sql.NullBool
	sigs, ca, references sql.NullString
}

// Record returns the same as PathInfo, with the registration time of the path and
// whether it was built in this store.
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
	info.Signatures = signatures(r.sigs.String)
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

// signatures parses a list that is separated by spaces. As in a narinfo, a text
// that is not a signature does not count.
func signatures(list string) []narinfo.Signature {
	var sigs []narinfo.Signature
	for text := range strings.FieldsSeq(list) {
		if sig, err := narinfo.ParseSignature(text); err == nil {
			sigs = append(sigs, sig)
		}
	}
	return sigs
}

// PathByHash returns the valid path with a hash part, the first 32 characters of
// its base name. It fails with [store.ErrNotFound] if there is none.
func (s *Store) PathByHash(ctx context.Context, hashPart string) (storepath.Path, error) {
	if err := storepath.ValidateHashPart(hashPart); err != nil {
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

// AllPaths yields every valid path, the oldest first. Paths that are added or
// deleted during the iteration may be missing or not. A row that is not a store
// path yields an error that does not end the iteration.
func (s *Store) AllPaths(ctx context.Context) iter.Seq2[storepath.Path, error] {
	return func(yield func(storepath.Path, error) bool) {
		for full, err := range paged(ctx, s, selectPaths, scanPath) {
			if err != nil {
				yield(storepath.Path{}, err)
				return
			}
			p, err := s.opts.StoreDir.Parse(full)
			if err != nil {
				err = fmt.Errorf("%s: %w", s, err)
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

const selectPaths = `SELECT id, path FROM ValidPaths WHERE id > ? ORDER BY id LIMIT ?`

func scanPath(rows *sql.Rows) (id int64, path string, err error) {
	err = rows.Scan(&id, &path)
	return id, path, err
}

// checkStoreDir checks the store directory of one path, and queries the tables.
func (s *Store) checkStoreDir(ctx context.Context) error {
	if _, err := s.Record(ctx, storepath.Path{}); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	for full, err := range paged(ctx, s, selectPaths, scanPath) {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(full, string(s.opts.StoreDir)+"/") {
			return fmt.Errorf("%w: expected paths in %s, got %q; set Options.StoreDir or the parameter store of the URL",
				store.ErrStoreDir, s.opts.StoreDir, full)
		}
		break
	}
	return nil
}

// failed adds the file of the database to an error.
func (s *Store) failed(err error) error {
	if se := (*sqlite.Error)(nil); errors.As(err, &se) && se.Code() == sqlite3.SQLITE_ERROR {
		return fmt.Errorf("%s is not a Nix database of schema %s: %w", s.db.file, schema, err)
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) && e.Path == s.db.file {
		err = e.Err
	}
	return fmt.Errorf("reading Nix's database %s: %w", s.db.file, err)
}
