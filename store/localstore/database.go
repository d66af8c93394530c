package localstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// connections is the number of concurrent queries. SQLite caches up to
	// 2 MiB of pages for each.
	connections = 4

	// maxValue bounds one value of a row in bytes. The references of a path
	// are one value; a narinfo may have far fewer.
	maxValue = 16 << 20

	// attempts bounds how often a query that a writer disturbs is tried.
	attempts = 50
)

var errClosed = errors.New("the store is closed")

// database reads an SQLite database while other processes may write to it. It
// does not write anything.
//
// Nix keeps the database in WAL mode: commits go to a file beside the database,
// "-wal", with an index in "-shm", and later into the database. While both files
// exist, SQLite shares them with writers through its locks. While they do not
// exist, SQLite would create them, unless the database is opened as immutable.
// Then SQLite ignores the two files and does not lock, and its results are wrong
// as soon as a process writes. Every writer first creates the two files, and
// writes to the database only while they exist or when it removes them. So a
// result of an immutable connection is valid only if the files are unchanged
// after the query.
//
// One gap remains: if the last writer closes the database after look and before
// SQLite opens the files, SQLite leaves an empty "-wal", which is harmless.
type database struct {
	file string

	mu     sync.Mutex
	cur    *connection
	closed bool
}

// connection is the database, opened shared or immutable.
type connection struct {
	*sql.DB
	immutable bool
	found     files
}

func newDatabase(file string) *database { return &database{file: file} }

// read calls f with a connection. It calls f again if a writer has invalidated
// the result, so f must start afresh each time.
func (d *database) read(ctx context.Context, f func(*sql.Conn) error) error {
	var err error
	for n := range attempts {
		if n > 1 {
			select {
			case <-time.After(time.Duration(min(n, 20)) * time.Millisecond):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var c *connection
		if c, err = d.connect(ctx); err == nil {
			err = c.read(ctx, f)
			if d.stale(c, err) {
				d.drop(c)
				err = overtaken{cmp.Or(err, errTooFast)}
			}
		}
		if !errors.As(err, new(overtaken)) {
			break
		}
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// overtaken is an error of a query that a writer disturbed. Another attempt may
// succeed.
type overtaken struct{ error }

func (o overtaken) Unwrap() error { return o.error }

var errTooFast = errors.New("the database is written faster than it can be read")

// stale reports whether a query on c, which returned err, has to be repeated on
// another connection.
func (d *database) stale(c *connection, err error) bool {
	if c.immutable && !c.found.same(d.file) {
		return true
	}
	if err == nil {
		return false
	}
	if se := (*sqlite.Error)(nil); !c.immutable && errors.As(err, &se) {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_CANTOPEN, // the two files may have been removed before SQLite could open them
			sqlite3.SQLITE_READONLY: // a writer has created them and not filled them yet, which SQLite would do instead
			return true
		}
	}
	// Another reader may have closed the connection because it was stale.
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cur != c
}

func (c *connection) read(ctx context.Context, f func(*sql.Conn) error) error {
	conn, err := c.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := sqlite.Limit(conn, sqlite3.SQLITE_LIMIT_LENGTH, maxValue); err != nil {
		return err
	}
	return f(conn)
}

// connect returns the connection. It opens one if there is none.
func (d *database) connect(ctx context.Context) (*connection, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	if d.cur == nil {
		c, err := d.open(ctx)
		if err != nil {
			return nil, err
		}
		d.cur = c
	}
	return d.cur, nil
}

// drop closes the connection, so that the next connect opens another.
func (d *database) drop(c *connection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur == c {
		d.cur = nil
		c.Close()
	}
}

func (d *database) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.cur == nil {
		return nil
	}
	err := d.cur.Close()
	d.cur = nil
	return err
}

// open opens the database, shared or immutable.
func (d *database) open(ctx context.Context) (*connection, error) {
	found, err := look(d.file)
	if err != nil {
		return nil, err
	}
	switch {
	case found.wal && found.shm:
		return d.dial(found, false)
	case found.walSize > 0:
		// This happens briefly while a writer closes the database.
		return nil, overtaken{fmt.Errorf("%s-wal has changes, but its index %s-shm is missing; "+
			"any command that writes to the store, such as nix-store --add, repairs that", d.file, d.file)}
	}
	c, err := d.dial(found, true)
	if err != nil {
		return nil, err
	}
	wal, err := c.inWALMode(ctx)
	if err == nil && !wal {
		// With a rollback journal, writers lock the database, and so must readers.
		c.Close()
		return d.dial(found, false)
	}
	if err != nil {
		if !found.same(d.file) {
			err = overtaken{err}
		}
		c.Close()
		return nil, err
	}
	return c, nil
}

// inWALMode reads the "file format read version" of the header. It does so
// through SQLite: if this process opened and closed the file otherwise, it would
// lose the locks of SQLite on it.
func (c *connection) inWALMode(ctx context.Context) (wal bool, err error) {
	err = c.read(ctx, func(conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_dbpage WHERE pgno = 1 AND substr(data, 20, 1) = x'02'").Scan(&wal)
	})
	return wal, err
}

func (d *database) dial(found files, immutable bool) (*connection, error) {
	query := url.Values{
		"mode":          {"ro"},
		"_query_only":   {"1"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"},
		"_busy_timeout": {"10000"},
		"_pragma":       {"trusted_schema(0)"},
	}
	if immutable {
		query.Set("immutable", "1")
	} else {
		query.Set("readonly_shm", "1")
	}
	path := filepath.ToSlash(d.file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a path with a drive letter on Windows
	}
	connector, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return &connection{db, immutable, found}, nil
}

// files is the state of a database's files.
type files struct {
	db       fs.FileInfo
	wal, shm bool
	walSize  int64
}

func look(file string) (f files, err error) {
	if f.db, err = os.Stat(file); err != nil {
		return f, err
	}
	if !f.db.Mode().IsRegular() {
		return f, fmt.Errorf("%s is a %s, expected Nix's database", file, f.db.Mode().Type())
	}
	wal, err := stat(file + "-wal")
	if err != nil {
		return f, err
	}
	shm, err := stat(file + "-shm")
	if err != nil {
		return f, err
	}
	if f.wal, f.shm = wal != nil, shm != nil; f.wal {
		f.walSize = wal.Size()
	}
	return f, nil
}

// stat is os.Stat, except that it returns nil for a missing file.
func stat(file string) (fs.FileInfo, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// same reports whether the files of the database are still in state f.
func (f files) same(file string) bool {
	now, err := look(file)
	return err == nil && os.SameFile(f.db, now.db) && f.db.Size() == now.db.Size() && f.db.ModTime().Equal(now.db.ModTime()) &&
		f.wal == now.wal && f.shm == now.shm && f.walSize == now.walSize
}
