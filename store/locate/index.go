package locate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/fileindex"
)

// ErrFormat reports that an index is damaged.
var ErrFormat = fileindex.ErrFormat

// Index is an index of the files of a cache, open for reading. It is not safe for
// concurrent use.
type Index struct {
	reader *fileindex.Reader
	body   io.Closer
	name   string
}

// Open opens the index that a cache has. It fails with store.ErrNotFound if the
// cache has none.
func Open(ctx context.Context, cache *store.Cache) (*Index, error) {
	return openIndex(ctx, cache, newPlace(cache, ""))
}

// OpenFile opens an index in a local file.
func OpenFile(name string) (*Index, error) {
	return openPlace(context.Background(), filePlace(name))
}

// openIndex opens an index of a cache.
func openIndex(ctx context.Context, cache *store.Cache, at place) (*Index, error) {
	x, err := openPlace(ctx, at)
	if err != nil {
		return nil, err
	}
	if dir := cache.StoreDir(); x.StoreDir() != dir {
		err := fmt.Errorf("%s: %w: expected %s, got %s", at, store.ErrStoreDir, dir, x.StoreDir())
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

func openPlace(ctx context.Context, at place) (*Index, error) {
	body, err := at.open(ctx)
	if err != nil {
		return nil, err
	}
	r, err := fileindex.NewReader(body)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", at, err), body.Close())
	}
	return &Index{reader: r, body: body, name: at.String()}, nil
}

// StoreDir is the store directory of the index's paths.
func (x *Index) StoreDir() storepath.Dir { return x.reader.StoreDir() }

// Match is a file that was found.
type Match struct {
	Path       storepath.Path
	File       string // relative to the store path
	Type       nar.Type
	Executable bool
	Size       int64
	LinkTarget string
}

// Find yields the files that a pattern selects, in the order of the paths' hash
// parts. It reads the rest of the index, so an index can be searched once. An
// error comes last.
func (x *Index) Find(p Pattern) iter.Seq2[Match, error] {
	return func(yield func(Match, error) bool) {
		for {
			r, err := x.reader.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Match{}, fmt.Errorf("%s: %w", x.name, err))
				return
			}
			for e, err := range r.Entries() {
				if err != nil {
					yield(Match{}, fmt.Errorf("%s: %w", x.name, err))
					return
				}
				if e.Name == "" || !p.Match(e.Name) {
					continue
				}
				if !yield(Match{r.Path, e.Name, e.Type, e.Executable, e.Size, e.LinkTarget}, nil) {
					return
				}
			}
		}
	}
}

// Close closes the index.
func (x *Index) Close() error { return errors.Join(x.reader.Close(), x.body.Close()) }
