// Package memblob is a [blob.Bucket] in memory, for tests and for caches that
// live no longer than their process. It is the reference for the contract: it
// keeps every attribute, checks digests and its conditional writes are exact.
package memblob

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/ctxio"
)

// Bucket holds objects in memory. It implements [blob.Bucket] and
// [blob.Copier]. Make one with [New].
type Bucket struct {
	mu      sync.RWMutex
	objects map[string]object
	version uint64 // of the last write; makes ETags
}

// object does not change once it is in the map, so that reading its data needs
// no lock.
type object struct {
	attrs blob.Attrs
	data  []byte
}

// New returns an empty bucket.
func New() *Bucket {
	return &Bucket{objects: make(map[string]object)}
}

var (
	_ blob.Bucket = (*Bucket)(nil)
	_ blob.Copier = (*Bucket)(nil)
)

// String returns "mem://".
func (b *Bucket) String() string { return "mem://" }

// Close discards all objects.
func (b *Bucket) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.objects)
	return nil
}

func (b *Bucket) error(op, key string, err error) error {
	return &blob.Error{Op: op, Bucket: b.String(), Key: key, Err: err}
}

// lookup finds an object for an operation that needs it to exist.
func (b *Bucket) lookup(ctx context.Context, op, key string) (object, error) {
	if ctx.Err() != nil {
		return object{}, b.error(op, key, context.Cause(ctx))
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	o, ok := b.objects[key]
	if !ok {
		return object{}, b.error(op, key, blob.ErrNotFound)
	}
	return o, nil
}

// Get opens an object or a part of it.
func (b *Bucket) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	o, err := b.lookup(ctx, "Get", key)
	if err != nil {
		return nil, err
	}
	if opts.IfMatch != "" && opts.IfMatch != o.attrs.ETag {
		return nil, b.error("Get", key, blob.ErrPrecondition)
	}
	offset, length, err := opts.Range(o.attrs.Size)
	if err != nil {
		return nil, b.error("Get", key, err)
	}
	part := bytes.NewReader(o.data[offset : offset+length])
	return &blob.Object{
		Attrs:  o.attrs,
		Offset: offset,
		Length: length,
		Body:   io.NopCloser(&ctxio.Reader{Ctx: ctx, R: part}),
	}, nil
}

// Head returns the attributes of an object.
func (b *Bucket) Head(ctx context.Context, key string) (blob.Attrs, error) {
	o, err := b.lookup(ctx, "Head", key)
	return o.attrs, err
}

// Put stores an object. It keeps a copy of the content.
func (b *Bucket) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	if err := blob.ValidateKey(key); err != nil {
		return blob.Attrs{}, b.error("Put", key, err)
	}
	data, err := readContent(ctx, content)
	if err != nil {
		return blob.Attrs{}, b.error("Put", key, err)
	}
	if opts.SHA256 != nil && sha256.Sum256(data) != *opts.SHA256 {
		return blob.Attrs{}, b.error("Put", key, blob.ErrChecksum)
	}
	attrs, err := b.store(key, data, opts)
	if err != nil {
		return blob.Attrs{}, b.error("Put", key, err)
	}
	return attrs, nil
}

func readContent(ctx context.Context, content blob.Content) ([]byte, error) {
	size := content.Size()
	if size < 0 {
		return nil, fmt.Errorf("content has size %d", size)
	}
	data := make([]byte, size)
	r := &ctxio.Reader{Ctx: ctx, R: io.NewSectionReader(content, 0, size)}
	if _, err := io.ReadFull(r, data); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return data, nil
}

// store makes data the object with the key, if the conditions of opts hold.
func (b *Bucket) store(key string, data []byte, opts blob.PutOptions) (blob.Attrs, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, exists := b.objects[key]
	if exists && opts.IfNoneMatch || opts.IfMatch != "" && opts.IfMatch != old.attrs.ETag {
		return blob.Attrs{}, blob.ErrPrecondition
	}
	b.version++
	o := object{
		attrs: blob.Attrs{
			Key:             key,
			Size:            int64(len(data)),
			ETag:            fmt.Sprintf(`"%d"`, b.version),
			ModTime:         time.Now(),
			ContentType:     opts.ContentType,
			ContentEncoding: opts.ContentEncoding,
		},
		data: data,
	}
	if opts.SHA256 != nil {
		digest := *opts.SHA256 // Put has checked it
		o.attrs.SHA256 = &digest
	}
	b.objects[key] = o
	return o.attrs, nil
}

// CopyFrom copies an object of another bucket of this package. The objects share
// memory. Attributes that opts leaves empty are those of the source.
func (b *Bucket) CopyFrom(ctx context.Context, key string, src blob.Bucket, srcKey string, opts blob.PutOptions) (blob.Attrs, error) {
	if err := blob.ValidateKey(key); err != nil {
		return blob.Attrs{}, b.error("Copy", key, err)
	}
	from, ok := blob.As[*Bucket](src)
	if !ok {
		return blob.Attrs{}, b.error("Copy", key, errors.ErrUnsupported)
	}
	o, err := from.lookup(ctx, "Copy", srcKey)
	if err != nil {
		return blob.Attrs{}, err
	}
	opts.ContentType = cmp.Or(opts.ContentType, o.attrs.ContentType)
	opts.ContentEncoding = cmp.Or(opts.ContentEncoding, o.attrs.ContentEncoding)
	opts.SHA256 = o.attrs.SHA256
	attrs, err := b.store(key, o.data, opts)
	if err != nil {
		return blob.Attrs{}, b.error("Copy", key, err)
	}
	return attrs, nil
}

// Delete removes objects.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	if ctx.Err() != nil {
		return b.error("Delete", "", context.Cause(ctx))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range keys {
		delete(b.objects, key)
	}
	return nil
}

// List yields the objects that exist when the iteration begins.
func (b *Bucket) List(ctx context.Context, opts blob.ListOptions) iter.Seq2[blob.Attrs, error] {
	return func(yield func(blob.Attrs, error) bool) {
		for _, attrs := range b.snapshot(opts) {
			if ctx.Err() != nil {
				yield(blob.Attrs{}, b.error("List", opts.Prefix, context.Cause(ctx)))
				return
			}
			if !yield(attrs, nil) {
				return
			}
		}
	}
}

func (b *Bucket) snapshot(opts blob.ListOptions) []blob.Attrs {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var found []blob.Attrs
	for key, o := range b.objects {
		if opts.Selects(key) {
			found = append(found, o.attrs)
		}
	}
	slices.SortFunc(found, func(x, y blob.Attrs) int { return strings.Compare(x.Key, y.Key) })
	return found
}
