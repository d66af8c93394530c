package localstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
)

// Options are the places of a store. The zero value means the usual store, in
// /nix.
type Options struct {
	// Root is the directory that takes the place of /, as the parameter root of
	// Nix's local store URLs; "" means /.
	Root string

	// StoreDir is the store directory of the paths; "" means /nix/store.
	StoreDir storepath.Dir

	// RealStoreDir is the directory that contains the store objects; "" means
	// nix/store in Root, or StoreDir without a Root.
	RealStoreDir string

	// StateDir is the directory that contains db/db.sqlite; "" means
	// nix/var/nix in Root or /.
	StateDir string

	// LogDir is the directory that contains drvs/ with the build logs; ""
	// means nix/var/log/nix in Root or /.
	LogDir string
}

func (o *Options) setDefaults() error {
	o.StoreDir = cmp.Or(o.StoreDir, storepath.Default)
	if err := o.StoreDir.Validate(); err != nil {
		return err
	}
	if o.RealStoreDir == "" {
		o.RealStoreDir = string(o.StoreDir)
		if o.Root != "" {
			o.RealStoreDir = filepath.Join(o.Root, "nix", "store")
		}
	}
	if o.StateDir == "" {
		o.StateDir = filepath.Join(cmp.Or(o.Root, "/"), "nix", "var", "nix")
	}
	if o.LogDir == "" {
		o.LogDir = filepath.Join(cmp.Or(o.Root, "/"), "nix", "var", "log", "nix")
	}
	var err error
	if o.LogDir, err = filepath.Abs(o.LogDir); err != nil {
		return err
	}
	if o.StateDir, err = filepath.Abs(o.StateDir); err == nil {
		o.RealStoreDir, err = filepath.Abs(o.RealStoreDir)
	}
	return err
}

// Store is a local Nix store, opened for reading. It implements [store.Source]
// and is safe for concurrent use. It takes at most a few MiB of memory.
type Store struct {
	opts Options
	db   *database
}

var _ store.Source = (*Store)(nil)

// Open opens a store. It fails if the store does not exist, if its database has
// another schema than 10, and with [store.ErrStoreDir] if its paths are not in
// opts.StoreDir.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if err := opts.setDefaults(); err != nil {
		return nil, fmt.Errorf("opening local store: %w", err)
	}
	s := &Store{opts: opts, db: newDatabase(filepath.Join(opts.StateDir, "db", "db.sqlite"))}
	err := s.checkSchema()
	if err == nil {
		err = s.checkStoreDir(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", s, errors.Join(err, s.db.close()))
	}
	return s, nil
}

// schema is the version of the database that this package reads.
const schema = "10"

// checkSchema fails if the version file names another schema. A query fails if a
// table is missing.
func (s *Store) checkSchema() error {
	file := filepath.Join(s.opts.StateDir, "db", "schema")
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 16))
	if err != nil {
		return err
	}
	if version := strings.TrimSpace(string(text)); version != schema {
		return fmt.Errorf("%s says that the database has schema %q, expected %s; a newer Nix upgrades an older one", file, version, schema)
	}
	return nil
}

// String returns a store URL of Nix for the store.
func (s *Store) String() string {
	if s.opts.Root != "" {
		return "local?root=" + s.opts.Root
	}
	if s.opts.StateDir != "/nix/var/nix" {
		return "local?state=" + s.opts.StateDir
	}
	return "local"
}

// StoreDir returns the store directory of the paths.
func (s *Store) StoreDir() storepath.Dir { return s.opts.StoreDir }

// Physical returns the place of a path's contents on disk, even if the path is
// not valid.
func (s *Store) Physical(p storepath.Path) string {
	return filepath.Join(s.opts.RealStoreDir, p.String())
}

// Close closes the database. Later calls fail.
func (s *Store) Close() error { return s.db.close() }
