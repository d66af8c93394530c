package localstore_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/localstore"
)

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(f *fixture)
		opts    localstore.Options
		wantErr string
		is      error
	}{
		{"no database", func(f *fixture) { require.NoError(f.t, os.Remove(f.file)) }, localstore.Options{},
			"db.sqlite: no such file", fs.ErrNotExist},
		{"a directory for a database", func(f *fixture) {
			require.NoError(f.t, os.Remove(f.file))
			require.NoError(f.t, os.Mkdir(f.file, 0o755))
		}, localstore.Options{}, "expected Nix's database", nil},
		{"no SQLite database", func(f *fixture) {
			require.NoError(f.t, os.WriteFile(f.file, []byte(strings.Repeat("not a database ", 1000)), 0o644))
		}, localstore.Options{}, "file is not a database", nil},
		{"an empty file", func(f *fixture) { require.NoError(f.t, os.Truncate(f.file, 0)) }, localstore.Options{},
			"is not a Nix database of schema 10", nil},
		{"another program's tables", func(f *fixture) { f.write("DROP TABLE Refs; DROP TABLE ValidPaths; CREATE TABLE users (id)") }, localstore.Options{},
			"is not a Nix database of schema 10: SQL logic error: no such table", nil},
		{"a column is missing", func(f *fixture) { f.write("ALTER TABLE ValidPaths DROP COLUMN ca") }, localstore.Options{},
			"no such column: v.ca", nil},
		{"an older schema", func(f *fixture) { f.schema("7") }, localstore.Options{}, `has schema "7", expected 10`, nil},
		{"a newer schema", func(f *fixture) { f.schema("11\n") }, localstore.Options{}, `has schema "11", expected 10`, nil},
		{"paths elsewhere", func(f *fixture) { f.write(insert, full(1), someHash, 1) }, localstore.Options{StoreDir: "/gnu/store"},
			`expected paths in /gnu/store`, store.ErrStoreDir},
		{"no store directory", func(f *fixture) {}, localstore.Options{StoreDir: "store"}, "is not absolute", nil},
		{"a log without its index", func(f *fixture) {
			_, err := f.writer().Exec(insert, full(1), someHash, 1)
			require.NoError(f.t, err)
			f.moveAway("db.sqlite", "db.sqlite-wal")
		}, localstore.Options{}, "any command that writes to the store", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			tt.change(f)
			tt.opts.Root = f.root
			before := f.files()
			_, err := localstore.Open(t.Context(), tt.opts)
			require.ErrorContains(t, err, tt.wantErr)
			require.ErrorContains(t, err, "opening local")
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			assert.Equal(t, before, f.files())
		})
	}
}

func (f *fixture) schema(version string) {
	f.t.Helper()
	require.NoError(f.t, os.WriteFile(filepath.Join(filepath.Dir(f.file), "schema"), []byte(version), 0o644))
}

const signature = "lab-cache-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="

func TestRecord(t *testing.T) {
	f := newFixture(t)
	f.schema("10")
	f.write(insert, full(1), someHash, 120)
	f.write(insert, full(2), someHash, 120)
	f.write(`INSERT INTO ValidPaths VALUES (7, ?, 'sha256:' || ?, 1700000001, ?, 4096, 1, ?, ?)`,
		full(3), someHash, full(9)+".drv", signature+" AAAA other-1:"+signature[12:],
		"fixed:r:sha256:19l59z9nbs59axnhw6iqsz5bdagqb22kf0dp2zhkiq5m4b6k5247")
	f.write(`INSERT INTO Refs VALUES (7, 1), (7, 2), (7, 7)`)
	s := f.open()

	t.Run("everything", func(t *testing.T) {
		r, err := s.Record(t.Context(), path(3))
		require.NoError(t, err)
		assert.EqualValues(t, 1700000001, r.RegistrationTime)
		assert.True(t, r.Ultimate)
		info := r.NarInfo.PathInfo
		assert.Equal(t, storepath.Default, info.StoreDir)
		assert.Equal(t, path(3), info.Path)
		assert.Equal(t, "sha256:"+someHash, "sha256:"+info.NarHash.Base16())
		assert.EqualValues(t, 4096, info.NarSize)
		assert.Equal(t, path(9).String()+".drv", info.Deriver.String())
		assert.Equal(t, slices.SortedFunc(slices.Values([]storepath.Path{path(1), path(2), path(3)}), storepath.Path.Compare), info.References)
		assert.Equal(t, "fixed:r:sha256:19l59z9nbs59axnhw6iqsz5bdagqb22kf0dp2zhkiq5m4b6k5247", info.CA.String())
		require.Len(t, info.Signatures, 2)
		assert.Equal(t, "other-1", info.Signatures[1].KeyName)
	})
	t.Run("nothing but what must be", func(t *testing.T) {
		r, err := s.Record(t.Context(), path(1))
		require.NoError(t, err)
		assert.False(t, r.Ultimate)
		info := r.NarInfo.PathInfo
		assert.Zero(t, info.Deriver)
		assert.Empty(t, info.References)
		assert.Empty(t, info.Signatures)
		assert.True(t, info.CA.IsZero())
	})
	t.Run("not valid", func(t *testing.T) {
		_, err := s.Record(t.Context(), path(4))
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorContains(t, err, path(4).String())
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("no longer wanted")
		cancel(cause)
		_, err := s.PathInfo(ctx, path(1))
		require.ErrorIs(t, err, cause)
	})
}

func TestRecordRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, column string
		value        any
		wantErr      string
	}{
		{"no hash", "hash", "", "column hash"},
		{"a hash of another kind", "hash", "md5:d41d8cd98f00b204e9800998ecf8427e", "expected a hash of sha256"},
		{"no size", "narSize", nil, "column narSize: 0"},
		{"a negative size", "narSize", -1, "column narSize: -1"},
		{"a size that is not a number", "narSize", "much", "narSize"},
		{"a deriver elsewhere", "deriver", "/gnu/store/x.drv", "column deriver"},
		{"a content address of no method", "ca", "fixed", "column ca"},
		{"more than there can be", "sigs", strings.Repeat(signature+" ", 200_000), "too big"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.write(insert, full(1), someHash, 120)
			f.write("UPDATE ValidPaths SET "+tt.column+" = ?", tt.value)
			_, err := f.open().Record(t.Context(), path(1))
			require.ErrorContains(t, err, tt.wantErr)
		})
	}
	t.Run("a reference that is not a store path", func(t *testing.T) {
		f := newFixture(t)
		f.write(insert, full(1), someHash, 120)
		f.write(insert, "/nix/store/../../etc/passwd", someHash, 120)
		f.write("INSERT INTO Refs VALUES (1, 2)")
		_, err := f.open().Record(t.Context(), path(1))
		require.ErrorContains(t, err, "references")
	})
}

func TestPathByHash(t *testing.T) {
	f := newFixture(t)
	f.write(insert, full(1), someHash, 120)
	f.write(insert, full(2), someHash, 120)
	s := f.open()
	for n := range 2 {
		p, err := s.PathByHash(t.Context(), path(n+1).HashPart())
		require.NoError(t, err)
		assert.Equal(t, path(n+1), p)
	}
	for _, absent := range []string{path(3).HashPart(), strings.Repeat("0", 32), strings.Repeat("z", 32)} {
		_, err := s.PathByHash(t.Context(), absent)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	_, err := s.PathByHash(t.Context(), "%")
	require.ErrorContains(t, err, "hash part")
	require.False(t, isNotFound(err))
}

func TestAllPaths(t *testing.T) {
	const many = 600
	f := newFixture(t)
	w := f.writer()
	tx, err := w.Begin()
	require.NoError(t, err)
	var want []storepath.Path
	for n := range many {
		_, err := tx.Exec(insert, full(n), someHash, 120)
		require.NoError(t, err)
		want = append(want, path(n))
	}
	require.NoError(t, tx.Commit())
	require.NoError(t, w.Close())
	s := f.open()

	collect := func() (paths []storepath.Path, errs []error) {
		for p, err := range s.AllPaths(t.Context()) {
			if err != nil {
				errs = append(errs, err)
				continue
			}
			paths = append(paths, p)
		}
		return paths, errs
	}
	t.Run("all", func(t *testing.T) {
		got, errs := collect()
		require.Empty(t, errs)
		assert.Equal(t, want, got)
	})
	t.Run("until the caller has enough", func(t *testing.T) {
		n := 0
		for range s.AllPaths(t.Context()) {
			if n++; n == 3 {
				break
			}
		}
		assert.Equal(t, 3, n)
	})
	t.Run("past a row that is wrong", func(t *testing.T) {
		f.write("UPDATE ValidPaths SET path = 'what is this' WHERE id = 300")
		got, errs := collect()
		require.Len(t, errs, 1)
		assert.ErrorContains(t, errs[0], "what is this")
		assert.Len(t, got, many-1)
	})
	t.Run("not when cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		var last error
		for _, last = range s.AllPaths(ctx) {
			n++
			cancel()
		}
		assert.ErrorIs(t, last, context.Canceled)
		assert.Less(t, n, many)
	})
}

func TestNAR(t *testing.T) {
	contents := strings.Repeat("the quick brown fox ", 100_000)
	f := newFixture(t)
	f.addFile(1, contents)
	s := f.open()
	file := s.Physical(path(1))
	assert.Equal(t, filepath.Join(f.root, full(1)), file)

	// The archive is read in pieces, and written as a whole.
	ways := map[string]func(io.Reader) error{
		"read": func(r io.Reader) error {
			_, err := io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r})
			return err
		},
		"written": func(r io.Reader) error {
			_, err := r.(io.WriterTo).WriteTo(io.Discard)
			return err
		},
	}
	for _, tt := range []struct {
		name     string
		contents string
		wantErr  error
	}{
		{"as registered", contents, nil},
		{"other contents", strings.Replace(contents, "quick", "slow!", 1), store.ErrMismatch},
		{"more contents", contents + "…", store.ErrMismatch},
		{"less contents", contents[1:], store.ErrMismatch},
	} {
		for way, read := range ways {
			t.Run(tt.name+", "+way, func(t *testing.T) {
				require.NoError(t, os.Remove(file))
				require.NoError(t, os.WriteFile(file, []byte(tt.contents), 0o444))
				r, err := s.NAR(t.Context(), path(1))
				require.NoError(t, err)
				err = read(r)
				require.ErrorIs(t, err, tt.wantErr)
				if err != nil {
					require.ErrorContains(t, err, file, "the error says which file to look at")
				}
				require.NoError(t, r.Close())
			})
		}
	}
	for way, read := range ways {
		t.Run("cancelled while it is "+way, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			r, err := s.NAR(ctx, path(1))
			require.NoError(t, err)
			cause := errors.New("no longer wanted")
			cancel(cause)
			require.ErrorIs(t, read(r), cause)
			require.NoError(t, r.Close())
		})
	}
	t.Run("closed before its end", func(t *testing.T) {
		r, err := s.NAR(t.Context(), path(1))
		require.NoError(t, err)
		_, err = r.Read(make([]byte, 10))
		require.NoError(t, err)
		require.NoError(t, r.Close())
	})
	t.Run("as it is, unverified", func(t *testing.T) {
		require.NoError(t, os.Remove(file))
		require.NoError(t, os.WriteFile(file, []byte("something else"), 0o444))
		r, err := s.UnverifiedNAR(t.Context(), path(1))
		require.NoError(t, err)
		data, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		assert.Contains(t, string(data), "something else")
	})
	opens := map[string]func(context.Context, storepath.Path) (io.ReadCloser, error){"": s.NAR, ", unverified": s.UnverifiedNAR}
	for way, open := range opens {
		t.Run("not valid"+way, func(t *testing.T) {
			_, err := open(t.Context(), path(2))
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	}
	require.NoError(t, os.Remove(file))
	for way, open := range opens {
		t.Run("valid, but removed"+way, func(t *testing.T) {
			_, err := open(t.Context(), path(1))
			require.ErrorIs(t, err, fs.ErrNotExist)
			require.False(t, isNotFound(err), "the store has the path, if broken")
		})
	}
}

func TestAfterClose(t *testing.T) {
	f := newFixture(t)
	s, err := localstore.Open(t.Context(), localstore.Options{Root: f.root})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = s.PathInfo(t.Context(), path(1))
	require.ErrorContains(t, err, "the store is closed")
	require.NotErrorIs(t, err, sql.ErrConnDone)
}

func TestCopyToCache(t *testing.T) {
	f := newFixture(t)
	f.addFile(1, "leaf")
	f.addFile(2, "root")
	f.write("INSERT INTO Refs VALUES (2, 1), (2, 2)")
	key, err := narinfo.GenerateKey("test-1", nil)
	require.NoError(t, err)
	cache, err := store.Open(t.Context(), "mem://", store.WithSigners(key), store.WithTrustedKeys(key.Public()))
	require.NoError(t, err)
	defer cache.Close()

	report, err := store.Copy(t.Context(), cache, f.open(), []storepath.Path{path(2)}, store.CopyOptions{})
	require.NoError(t, err)
	assert.Equal(t, 2, report.Copied)
	dest := filepath.Join(t.TempDir(), "root")
	require.NoError(t, store.Restore(t.Context(), cache, path(2), dest))
	data, err := os.ReadFile(dest)
	require.NoError(t, err)
	assert.Equal(t, "root", string(data))

	t.Run("nothing of a broken path is published", func(t *testing.T) {
		f := newFixture(t)
		f.addFile(3, "as it was")
		require.NoError(t, os.Chmod(filepath.Join(f.root, full(3)), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(f.root, full(3)), []byte("as it is!"), 0o644))
		_, err := store.Copy(t.Context(), cache, f.open(), []storepath.Path{path(3)}, store.CopyOptions{})
		require.ErrorIs(t, err, store.ErrMismatch)
		has, err := cache.Has(t.Context(), path(3))
		require.NoError(t, err)
		assert.False(t, has)
	})
}
