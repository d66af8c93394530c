package locate

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// contentType is the media type of the index as an object.
const contentType = "application/zstd"

// place is where an index is kept.
type place interface {
	String() string

	// open fails with store.ErrNotFound where there is no index.
	open(ctx context.Context) (io.ReadCloser, error)
	create(ctx context.Context) (draft, error)
}

// draft is an index that is being written. Close discards it unless commit was
// called.
type draft interface {
	io.WriteCloser
	commit() error
}

// newPlace returns the place of a cache's index: a file, or "" for an object of
// the cache.
func newPlace(cache *store.Cache, file string) place {
	if file != "" {
		return filePlace(file)
	}
	return objectPlace{cache}
}

type objectPlace struct{ cache *store.Cache }

func (p objectPlace) String() string { return layout.FileIndexKey + " in " + p.cache.String() }

func (p objectPlace) open(ctx context.Context) (io.ReadCloser, error) {
	obj, err := p.cache.Bucket().Get(ctx, layout.FileIndexKey, blob.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.Body, nil
}

func (p objectPlace) create(ctx context.Context) (draft, error) {
	staged, err := p.cache.Stage(ctx, 0)
	if err != nil {
		return nil, err
	}
	return objectDraft{staged}, nil
}

type objectDraft struct{ blob.Staged }

func (d objectDraft) commit() error {
	_, err := d.Commit(layout.FileIndexKey, blob.PutOptions{ContentType: contentType})
	return err
}

type filePlace string

func (p filePlace) String() string { return string(p) }

func (p filePlace) open(context.Context) (io.ReadCloser, error) {
	f, err := os.Open(string(p))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(store.ErrNotFound, err)
	}
	return f, err
}

func (p filePlace) create(context.Context) (draft, error) {
	f, err := os.CreateTemp(filepath.Dir(string(p)), ".nixs3-index-*")
	if err != nil {
		return nil, err
	}
	return &fileDraft{File: f, name: string(p)}, nil
}

type fileDraft struct {
	*os.File
	name string
	done bool
}

func (d *fileDraft) commit() error {
	err := errors.Join(d.Sync(), d.File.Close())
	if err == nil {
		err = os.Rename(d.File.Name(), d.name)
	}
	d.done = err == nil
	return err
}

func (d *fileDraft) Close() error {
	if d.done {
		return nil
	}
	return errors.Join(d.File.Close(), os.Remove(d.File.Name()))
}
