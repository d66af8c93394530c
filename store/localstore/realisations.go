package localstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

var _ store.RealisationSource = (*Store)(nil)

// selectRealisations reads all of a realisation in one statement, so that it is
// consistent. Valid outputs and store paths do not contain line feeds.
const selectRealisations = `
	SELECT r.id, r.drvPath, r.outputName, v.path, r.signatures,
		(SELECT group_concat(d.drvPath || '!' || d.outputName || char(10) || p.path, char(10))
		 FROM RealisationsRefs JOIN Realisations d ON d.id = realisationReference JOIN ValidPaths p ON p.id = d.outputPath
		 WHERE referrer = r.id)
	FROM Realisations r JOIN ValidPaths v ON v.id = r.outputPath WHERE r.id > ? ORDER BY r.id LIMIT ?`

// realisationRow is a row of selectRealisations.
type realisationRow struct {
	drvHash, output, path string
	sigs, dependent       sql.NullString
}

// Realisations yields the realisations of valid paths, the oldest first, which
// Nix up to 2.34 and Lix record where content-addressed derivations are
// enabled. A store without them yields none. A row that is not a realisation
// yields an error that does not end the iteration.
//
// Nix 2.35 and later keep theirs in tables that Realisations does not read.
// For a database with such a table it yields [errors.ErrUnsupported] at the
// end.
func (s *Store) Realisations(ctx context.Context) iter.Seq2[*narinfo.Realisation, error] {
	return func(yield func(*narinfo.Realisation, error) bool) {
		known, unknown, err := s.realisationTables(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		if known {
			for row, err := range paged(ctx, s, selectRealisations, scanRealisation) {
				if err != nil {
					yield(nil, err)
					return
				}
				r, err := row.realisation(s.opts.StoreDir)
				if err != nil {
					err = fmt.Errorf("realisation %.100s!%.100s in %s: %w", row.drvHash, row.output, s, err)
				}
				if !yield(r, err) {
					return
				}
			}
		}
		if unknown != "" {
			yield(nil, fmt.Errorf("reading realisations from table %s of %s: %w", unknown, s.db.file, errors.ErrUnsupported))
		}
	}
}

// realisationTables reports whether the database has the tables that
// selectRealisations reads, and the name of a table of Nix 2.35 or later.
func (s *Store) realisationTables(ctx context.Context) (known bool, unknown string, err error) {
	err = s.db.read(ctx, func(c *sql.Conn) error {
		const query = `SELECT coalesce(max(name = 'Realisations'), 0), coalesce(max(name) FILTER (WHERE name LIKE 'BuildTraceV%'), '')
			FROM sqlite_schema WHERE type = 'table'`
		return c.QueryRowContext(ctx, query).Scan(&known, &unknown)
	})
	if err != nil {
		return false, "", s.failed(err)
	}
	return known, unknown, nil
}

func scanRealisation(rows *sql.Rows) (id int64, r realisationRow, err error) {
	err = rows.Scan(&id, &r.drvHash, &r.output, &r.path, &r.sigs, &r.dependent)
	return id, r, err
}

func (row *realisationRow) realisation(dir storepath.Dir) (*narinfo.Realisation, error) {
	hash, err := nixhash.Parse(row.drvHash)
	if err != nil {
		return nil, fmt.Errorf("column drvPath: %w", err)
	}
	r := &narinfo.Realisation{ID: narinfo.DrvOutput{DrvHash: hash, Output: row.output}, Signatures: signatures(row.sigs.String)}
	if r.OutPath, err = dir.Parse(row.path); err != nil {
		return nil, fmt.Errorf("column outputPath: %w", err)
	}
	rest := row.dependent.String
	for more := rest != ""; more; {
		var name, full string
		name, rest, _ = strings.Cut(rest, "\n")
		full, rest, more = strings.Cut(rest, "\n")
		id, err := narinfo.ParseDrvOutput(name)
		if err != nil {
			return nil, fmt.Errorf("dependent realisation: %w", err)
		}
		path, err := dir.Parse(full)
		if err != nil {
			return nil, fmt.Errorf("dependent realisation: %w", err)
		}
		if r.Dependent == nil {
			r.Dependent = map[narinfo.DrvOutput]storepath.Path{}
		}
		r.Dependent[id] = path
	}
	_, err = r.Fingerprint() // which checks the realisation
	if err != nil {
		return nil, err
	}
	return r, nil
}
