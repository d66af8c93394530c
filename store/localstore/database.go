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
	// connections is how many queries run at a time. SQLite keeps up to 2 MiB
	// of pages for each.
	connections = 4

	// maxValue bounds what one value of a row may take, which is what the
	// references of a path become: far more than a narinfo may have.
	maxValue = 16 << 20

	// attempts is how often a query is begun that a writer came across.
	attempts = 50
)

var errClosed = errors.New("the store is closed")

// database is an SQLite database that others may write to meanwhile, read
// without writing anything.
//
// Nix keeps it in WAL mode: what is committed goes to a file beside the
// database, "-wal", with an index in "-shm", and later into the database. While
// both files are there, SQLite can share them with writers through its locks.
// While they are not, SQLite would create them, unless told that the database
// is immutable; then it ignores the two files, does not lock, and its answers
// are wrong as soon as somebody writes. Every writer begins by creating the two
// files and writes to the database only with them present or when it takes
// them away again. So an answer of the immutable kind counts only when the
// files were found unchanged after it.
//
// One gap is left: where the last writer closes the database between our look at
// the files and SQLite's, SQLite leaves an empty "-wal", which is as good as none.
type database struct {
	file string

	mu     sync.Mutex
	cur    *connection
	closed bool
}

// connection is the database opened in one of the two ways.
type connection struct {
	*sql.DB
	immutable bool
	found     files
}

func newDatabase(file string) *database { return &database{file: file} }

// read has f ask the database. It may call f again, where the answer was
// overtaken by a writer, so f begins anew each time.
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

// overtaken is a failure that the next attempt may not meet.
type overtaken struct{ error }

func (o overtaken) Unwrap() error { return o.error }

var errTooFast = errors.New("the database is written faster than it can be read")

// stale reports whether a query on c has to be made again on another
// connection, given its error.
func (d *database) stale(c *connection, err error) bool {
	if c.immutable && !c.found.same(d.file) {
		return true
	}
	if err == nil {
		return false
	}
	if se := (*sqlite.Error)(nil); !c.immutable && errors.As(err, &se) {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_CANTOPEN, // the two files may have gone before SQLite could open them
			sqlite3.SQLITE_READONLY: // a writer has made them and is about to fill them, which SQLite would do in its place
			return true
		}
	}
	// Another reader may have found the connection stale, and closed it.
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

// connect returns the connection, which it opens if need be.
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

// drop makes the next connect open anew.
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

// open chooses the way and opens.
func (d *database) open(ctx context.Context) (*connection, error) {
	found, err := look(d.file)
	if err != nil {
		return nil, err
	}
	switch {
	case found.wal && found.shm:
		return d.dial(found, false)
	case found.walSize > 0:
		// For a moment it is so when a writer closes the database.
		return nil, overtaken{fmt.Errorf("%s-wal has changes, but %s-shm, which tells where, is missing; "+
			"any command that writes to the store, such as nix-store --add, puts that right", d.file, d.file)}
	}
	c, err := d.dial(found, true)
	if err != nil {
		return nil, err
	}
	wal, err := c.inWALMode(ctx)
	if err == nil && !wal {
		// A rollback journal: writers lock the database, and so do we.
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

// inWALMode reads the "file format read version" of the header. It goes
// through SQLite, since closing a file that was opened otherwise would take
// away the locks that SQLite has on it in this process.
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
		path = "/" + path // a drive of Windows
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

// files is what is seen of a database from outside.
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

// stat is os.Stat that takes a missing file for none.
func stat(file string) (fs.FileInfo, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// same reports whether nobody has written since f was seen.
func (f files) same(file string) bool {
	now, err := look(file)
	return err == nil && os.SameFile(f.db, now.db) && f.db.Size() == now.db.Size() && f.db.ModTime().Equal(now.db.ModTime()) &&
		f.wal == now.wal && f.shm == now.shm && f.walSize == now.walSize
}
