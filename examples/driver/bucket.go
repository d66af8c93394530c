package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"example.com/nixs3/store/blob"
)

// bucket keeps objects in a SQLite database. It holds one object in memory for
// each call of Get and Put.
type bucket struct {
	db   *sql.DB
	file string
}

var _ blob.Bucket = (*bucket)(nil)

const schema = `CREATE TABLE IF NOT EXISTS objects (
	key BLOB PRIMARY KEY,
	data BLOB NOT NULL,
	etag TEXT NOT NULL,
	modified INTEGER NOT NULL, -- nanoseconds of Unix time
	type TEXT NOT NULL,
	encoding TEXT NOT NULL
) WITHOUT ROWID`

// openBucket opens a database, which need not exist.
func openBucket(file string) (*bucket, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(wal)&_pragma=synchronous(normal)")
	if err != nil {
		return nil, err
	}
	// With one connection, a statement is a transaction that nothing interrupts.
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", file, err), db.Close())
	}
	return &bucket{db, file}, nil
}

func (b *bucket) String() string { return "sqlite:" + b.file }

func (b *bucket) Close() error { return b.db.Close() }

// fail returns the error that the contract asks for.
func (b *bucket) fail(ctx context.Context, op, key string, err error) error {
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, sql.ErrNoRows):
		err = blob.ErrNotFound
	}
	return &blob.Error{Op: op, Bucket: b.String(), Key: key, Err: err}
}

const attributes = "length(data), etag, modified, type, encoding"

// scan reads the columns of attributes, and those that follow into more.
func scan(row interface{ Scan(...any) error }, key string, more ...any) (blob.Attrs, error) {
	a := blob.Attrs{Key: key}
	var modified int64
	err := row.Scan(append([]any{&a.Size, &a.ETag, &modified, &a.ContentType, &a.ContentEncoding}, more...)...)
	a.ModTime = time.Unix(0, modified)
	return a, err
}

func (b *bucket) Head(ctx context.Context, key string) (blob.Attrs, error) {
	a, err := scan(b.db.QueryRowContext(ctx, "SELECT "+attributes+" FROM objects WHERE key = ?", []byte(key)), key)
	if err != nil {
		return blob.Attrs{}, b.fail(ctx, "Head", key, err)
	}
	return a, nil
}

func (b *bucket) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	var data []byte
	a, err := scan(b.db.QueryRowContext(ctx, "SELECT "+attributes+", data FROM objects WHERE key = ?", []byte(key)), key, &data)
	if err == nil && opts.IfMatch != "" && opts.IfMatch != a.ETag {
		err = blob.ErrPrecondition
	}
	if err != nil {
		return nil, b.fail(ctx, "Get", key, err)
	}
	offset, length, err := opts.Range(a.Size)
	if err != nil {
		return nil, b.fail(ctx, "Get", key, err)
	}
	body := &body{ctx, bytes.NewReader(data[offset : offset+length])}
	return &blob.Object{Attrs: a, Offset: offset, Length: length, Body: body}, nil
}

// body ends with the context of Get.
type body struct {
	ctx context.Context
	r   io.Reader
}

func (b *body) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	return b.r.Read(p)
}

func (b *body) Close() error { return nil }

func (b *bucket) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	a, err := b.put(ctx, key, content, opts)
	if err != nil {
		return blob.Attrs{}, b.fail(ctx, "Put", key, err)
	}
	return a, nil
}

func (b *bucket) put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	if err := blob.ValidateKey(key); err != nil {
		return blob.Attrs{}, err
	}
	data := make([]byte, content.Size())
	if _, err := io.ReadFull(&body{ctx, io.NewSectionReader(content, 0, content.Size())}, data); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return blob.Attrs{}, err
	}
	if opts.SHA256 != nil && sha256.Sum256(data) != *opts.SHA256 {
		return blob.Attrs{}, blob.ErrChecksum
	}
	// The conditions are part of the statement, so that of several writers,
	// processes too, one alone succeeds. A new ETag is a random one: an old
	// content that comes back is another object.
	stored := b.db.QueryRowContext(ctx, `
		INSERT INTO objects (key, data, etag, modified, type, encoding)
		SELECT ?1, ?2, '"' || hex(randomblob(16)) || '"', ?3, ?4, ?5
		WHERE ?7 = '' OR EXISTS (SELECT 1 FROM objects WHERE key = ?1 AND etag = ?7)
		ON CONFLICT (key) DO UPDATE SET data = excluded.data, etag = excluded.etag,
			modified = excluded.modified, type = excluded.type, encoding = excluded.encoding
		WHERE NOT ?6
		RETURNING `+attributes,
		[]byte(key), data, time.Now().UnixNano(), opts.ContentType, opts.ContentEncoding, opts.IfNoneMatch, opts.IfMatch)
	a, err := scan(stored, key)
	if errors.Is(err, sql.ErrNoRows) {
		err = blob.ErrPrecondition
	}
	return a, err
}

func (b *bucket) Delete(ctx context.Context, keys ...string) error {
	var errs []error
	for _, key := range keys {
		if _, err := b.db.ExecContext(ctx, "DELETE FROM objects WHERE key = ?", []byte(key)); err != nil {
			errs = append(errs, b.fail(ctx, "Delete", key, err))
		}
	}
	return errors.Join(errs...)
}

// List asks for one object at a time: the connection is free while the caller
// has one.
func (b *bucket) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		for after := []byte{}; ; {
			var key []byte
			a, err := scan(b.db.QueryRowContext(ctx, "SELECT "+attributes+", key FROM objects WHERE key > ? AND key >= ? ORDER BY key",
				after, []byte(opts.Prefix)), "", &key)
			if errors.Is(err, sql.ErrNoRows) && ctx.Err() == nil || err == nil && !bytes.HasPrefix(key, []byte(opts.Prefix)) {
				return
			}
			if err != nil {
				yield(blob.Attrs{}, b.fail(ctx, "List", opts.Prefix, err))
				return
			}
			after, a.Key = key, string(key)
			if opts.Selects(a.Key) && !yield(a, nil) {
				return
			}
		}
	}
}
