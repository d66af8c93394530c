package localstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"example.com/nixs3/narinfo/storepath"
)

// Outputs returns the outputs of a derivation by their names, as far as the
// database has their paths. The paths need not be valid. The outputs of a
// content-addressed derivation are those that were built: Outputs takes them
// from the realisations of the derivation. Outputs fails with
// [store.ErrNotFound] if the derivation is not valid, and with
// [errors.ErrUnsupported] if the database keeps realisations as Nix 2.35 and
// later do.
func (s *Store) Outputs(ctx context.Context, drv storepath.Path) (map[string]storepath.Path, error) {
	if _, err := s.Record(ctx, drv); err != nil {
		return nil, err
	}
	const static = `SELECT o.id, o.path FROM DerivationOutputs o JOIN ValidPaths v ON o.drv = v.id WHERE v.path = ?`
	outputs, err := s.outputs(ctx, static, s.opts.StoreDir.Join(drv))
	if err != nil || len(outputs) > 0 {
		return outputs, err
	}
	known, unknown, err := s.realisationTables(ctx)
	switch {
	case err != nil:
		return nil, err
	case unknown != "":
		return nil, fmt.Errorf("reading realisations from table %s of %s: %w", unknown, s.db.file, errors.ErrUnsupported)
	case !known:
		return outputs, nil
	}
	id, err := s.realisationHash(ctx, drv)
	if err != nil {
		return nil, err
	}
	const realised = `SELECT r.outputName, v.path FROM Realisations r JOIN ValidPaths v ON v.id = r.outputPath WHERE r.drvPath = ? ORDER BY r.id`
	return s.outputs(ctx, realised, id)
}

// outputs returns the names and paths that a query finds.
func (s *Store) outputs(ctx context.Context, query, arg string) (map[string]storepath.Path, error) {
	var found map[string]string
	err := s.db.read(ctx, func(c *sql.Conn) error {
		found = map[string]string{}
		rows, err := c.QueryContext(ctx, query, arg)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, path string
			if err := rows.Scan(&name, &path); err != nil {
				return err
			}
			found[name] = path
		}
		return rows.Err()
	})
	if err != nil {
		return nil, s.failed(err)
	}
	paths := make(map[string]storepath.Path, len(found))
	for name, full := range found {
		if paths[name], err = s.opts.StoreDir.Parse(full); err != nil {
			return nil, fmt.Errorf("output %q in %s: %w", name, s.db.file, err)
		}
	}
	return paths, nil
}
