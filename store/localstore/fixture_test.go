package localstore_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/localstore"
)

// tables are the tables of schema 10 that this package reads, as Nix 2.8 creates
// them.
const tables = `
CREATE TABLE ValidPaths (
    id               integer primary key autoincrement not null,
    path             text unique not null,
    hash             text not null,
    registrationTime integer not null,
    deriver          text,
    narSize          integer,
    ultimate         integer,
    sigs             text,
    ca               text
);
CREATE TABLE Refs (
    referrer  integer not null,
    reference integer not null,
    primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
);
CREATE INDEX IndexReferrer on Refs(referrer);
CREATE INDEX IndexReference on Refs(reference);`

// fixture is a local store made by SQL, without Nix. No connection is open until
// writer is called.
type fixture struct {
	t    testing.TB
	root string
	file string // the database
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, root: t.TempDir()}
	f.file = filepath.Join(f.root, "nix", "var", "nix", "db", "db.sqlite")
	require.NoError(t, os.MkdirAll(filepath.Dir(f.file), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(f.root, "nix", "store"), 0o755))
	f.write(tables)
	return f
}

// writer opens the database as Nix does, in WAL mode.
func (f *fixture) writer() *sql.DB {
	f.t.Helper()
	db, err := sql.Open("sqlite", "file://"+f.file+"?_journal_mode=WAL&_synchronous=OFF&_busy_timeout=10000&_foreign_keys=1")
	require.NoError(f.t, err)
	db.SetMaxOpenConns(1)
	f.t.Cleanup(func() { db.Close() })
	require.NoError(f.t, db.Ping())
	return db
}

// write executes a statement and leaves the database closed.
func (f *fixture) write(query string, args ...any) {
	f.t.Helper()
	db := f.writer()
	_, err := db.Exec(query, args...)
	require.NoError(f.t, err)
	require.NoError(f.t, db.Close())
}

const (
	writerFile  = "NIXS3_TEST_WRITER_FILE"
	writerQuery = "NIXS3_TEST_WRITER_QUERY"
)

// writeElsewhere is write in another process, as Nix is. Within a process SQLite
// shares one handle for "-shm". If a reader opened it first, the handle is
// read-only, and writers fail.
func (f *fixture) writeElsewhere(query string) {
	f.t.Helper()
	cmd := exec.CommandContext(f.t.Context(), os.Args[0], "-test.run=^TestWriterProcess$")
	cmd.Env = append(os.Environ(), writerFile+"="+f.file, writerQuery+"="+query)
	out, err := cmd.CombinedOutput()
	require.NoError(f.t, err, "%s", out)
}

// TestWriterProcess is the other process of writeElsewhere. Otherwise it does
// nothing.
func TestWriterProcess(t *testing.T) {
	if file := os.Getenv(writerFile); file != "" {
		f := &fixture{t: t, file: file}
		f.write(os.Getenv(writerQuery))
	}
}

// path returns the n-th path of the fixtures.
func path(n int) storepath.Path {
	digest := nixhash.Sum(nixhash.SHA256, fmt.Append(nil, n)).Digest()
	p, err := storepath.ParseBase(nixhash.EncodeNix32(digest[:20]) + fmt.Sprintf("-path-%d", n))
	if err != nil {
		panic(err)
	}
	return p
}

func full(n int) string { return storepath.Default.Join(path(n)) }

// addFile makes a path whose contents are a file, and registers it.
func (f *fixture) addFile(n int, contents string) {
	f.t.Helper()
	file := filepath.Join(f.root, full(n))
	require.NoError(f.t, os.WriteFile(file, []byte(contents), 0o444))
	var archive bytes.Buffer
	require.NoError(f.t, nar.Dump(&archive, file))
	f.write(insert, full(n), nixhash.Sum(nixhash.SHA256, archive.Bytes()).Base16(), archive.Len())
}

const insert = `INSERT INTO ValidPaths (path, hash, registrationTime, narSize) VALUES (?, 'sha256:' || ?, 1700000000, ?)`

// someHash is the hash of paths without contents.
const someHash = "878832cd22b5e038e117b701378558f8a9b6cad7381a0e6d57a9e865d34f85a6"

func (f *fixture) open() *localstore.Store {
	f.t.Helper()
	s, err := localstore.Open(f.t.Context(), localstore.Options{Root: f.root})
	require.NoError(f.t, err)
	f.t.Cleanup(func() { require.NoError(f.t, s.Close()) })
	return s
}

// files returns the names and sizes of the database's files.
func (f *fixture) files() map[string]int64 {
	f.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(f.file))
	require.NoError(f.t, err)
	found := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(f.t, err)
		found[e.Name()] = info.Size()
	}
	return found
}
