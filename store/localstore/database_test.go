package localstore_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
)

func TestNothingIsWritten(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state func(f *fixture) // brings the database into a state with path 1
		files []string
	}{
		{"nobody else is there", func(f *fixture) {
			f.write(insert, full(1), someHash, 1)
		}, []string{"db.sqlite"}},
		{"a writer is there", func(f *fixture) {
			_, err := f.writer().Exec(insert, full(1), someHash, 1)
			require.NoError(f.t, err)
		}, []string{"db.sqlite", "db.sqlite-shm", "db.sqlite-wal"}},
		{"a writer was killed", func(f *fixture) {
			_, err := f.writer().Exec(insert, full(1), someHash, 1)
			require.NoError(f.t, err)
			f.moveAway("db.sqlite", "db.sqlite-shm", "db.sqlite-wal")
		}, []string{"db.sqlite", "db.sqlite-shm", "db.sqlite-wal"}},
		{"an empty log was left behind", func(f *fixture) {
			f.write(insert, full(1), someHash, 1)
			require.NoError(f.t, os.WriteFile(f.file+"-wal", nil, 0o644))
		}, []string{"db.sqlite", "db.sqlite-wal"}},
		{"an index was left behind", func(f *fixture) {
			f.write(insert, full(1), someHash, 1)
			require.NoError(f.t, os.WriteFile(f.file+"-shm", make([]byte, 32768), 0o644))
		}, []string{"db.sqlite", "db.sqlite-shm"}},
		{"without WAL", func(f *fixture) {
			f.write(insert, full(1), someHash, 1)
			f.write("PRAGMA journal_mode = TRUNCATE")
		}, []string{"db.sqlite", "db.sqlite-journal"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			tt.state(f)
			before := f.files()
			require.Equal(t, tt.files, slices.Sorted(maps.Keys(before)), "the state that is meant")
			content, err := os.ReadFile(f.file)
			require.NoError(t, err)

			s := f.open()
			_, err = s.PathInfo(t.Context(), path(1))
			require.NoError(t, err)
			_, err = s.PathInfo(t.Context(), path(2))
			require.ErrorIs(t, err, store.ErrNotFound)
			assert.Equal(t, before, f.files(), "while the store is open")
			require.NoError(t, s.Close())
			assert.Equal(t, before, f.files(), "after it was closed")
			after, err := os.ReadFile(f.file)
			require.NoError(t, err)
			assert.Equal(t, content, after)
		})
	}
}

// moveAway moves the fixture to another root with copies of some of its files,
// as if they had never been opened by a process.
func (f *fixture) moveAway(names ...string) {
	f.t.Helper()
	old := filepath.Dir(f.file)
	f.root = f.t.TempDir()
	f.file = filepath.Join(f.root, "nix", "var", "nix", "db", "db.sqlite")
	require.NoError(f.t, os.MkdirAll(filepath.Dir(f.file), 0o755))
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(old, name))
		require.NoError(f.t, err)
		require.NoError(f.t, os.WriteFile(filepath.Join(filepath.Dir(f.file), name), data, 0o644))
	}
}

func TestWhatWritersCommitIsSeen(t *testing.T) {
	t.Run("of one that comes and goes", func(t *testing.T) {
		f := newFixture(t)
		s := f.open()
		for n := range 5 {
			_, err := s.PathInfo(t.Context(), path(n))
			require.ErrorIs(t, err, store.ErrNotFound)
			f.write(insert, full(n), someHash, 1)
			_, err = s.PathInfo(t.Context(), path(n))
			require.NoError(t, err)
		}
	})
	t.Run("of one that stays", func(t *testing.T) {
		f := newFixture(t)
		s := f.open()
		w := f.writer()
		for n := range 5 {
			_, err := s.PathInfo(t.Context(), path(n))
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = w.Exec(insert, full(n), someHash, 1)
			require.NoError(t, err)
			_, err = s.PathInfo(t.Context(), path(n))
			require.NoError(t, err)
		}
		_, err := w.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
		require.NoError(t, err)
		_, err = s.PathInfo(t.Context(), path(4))
		require.NoError(t, err)
	})
	t.Run("not before", func(t *testing.T) {
		f := newFixture(t)
		s := f.open()
		tx, err := f.writer().Begin()
		require.NoError(t, err)
		_, err = tx.Exec(insert, full(1), someHash, 1)
		require.NoError(t, err)
		_, err = s.PathInfo(t.Context(), path(1))
		require.ErrorIs(t, err, store.ErrNotFound)
		require.NoError(t, tx.Commit())
		_, err = s.PathInfo(t.Context(), path(1))
		require.NoError(t, err)
	})
}

// TestReadWhileWritten runs a writer that repeatedly opens the database, adds a
// path with references to all earlier paths, and closes it. A reader that saw a
// part of a transaction or an outdated page would miss references.
func TestReadWhileWritten(t *testing.T) {
	f := newFixture(t)
	f.write(insert, full(0), someHash, 1)
	s := f.open()

	const paths = 20
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			seen := 0
			for last := false; !last; {
				select {
				case <-done:
					last = true // once more, to see the end
				default:
				}
				for {
					info, err := s.PathInfo(t.Context(), path(seen+1))
					if !assert.True(t, err == nil || isNotFound(err), "%v", err) {
						return
					}
					if err != nil {
						break
					}
					if !assert.Len(t, info.References, seen+1) {
						return
					}
					seen++
				}
				time.Sleep(time.Millisecond)
			}
			assert.Equal(t, paths, seen)
		})
	}
	for n := 1; n <= paths; n++ {
		f.writeElsewhere(fmt.Sprintf(`BEGIN; INSERT INTO ValidPaths (path, hash, registrationTime, narSize) VALUES ('%s', 'sha256:%s', 1, 1);
			INSERT INTO Refs SELECT max(v.id), r.id FROM ValidPaths v, ValidPaths r WHERE r.id < (SELECT max(id) FROM ValidPaths) GROUP BY r.id;
			COMMIT;`, full(n), someHash))
	}
	close(done)
	readers.Wait()
}
