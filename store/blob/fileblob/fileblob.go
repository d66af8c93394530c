// Package fileblob is a [blob.Bucket] in a directory, laid out as Nix lays out
// its file:// caches: the key of an object is its path below the directory, so
// either can read what the other wrote, and a web server can serve it as it is.
//
// A directory stores bytes and nothing else: content types, content encodings
// and cache control are not kept, and readers tell a compressed log from a
// plain one by its first bytes, as Nix does.
//
// Keys that are no clean relative path (fs.ValidPath), or that the operating
// system has no file name for, cannot be stored; nor can an object lie beside
// others that have its key and a slash as prefix. No key leads outside the
// directory, also where symbolic links would ([os.Root]).
//
// Objects are written to a temporary file that is renamed when it is whole.
// The names of such files begin with ".nixs3-put-", in the folder "nar" or
// whichever the object goes to; they are not listed and no key can have such a
// name in it. What a killed writer leaves behind is found by [Bucket.Uploads].
package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"example.com/nixs3/store/blob"
)

// Options are the settings of a bucket. The zero value is good for caches.
type Options struct {
	// Create makes a missing directory, and those above it, when something is
	// first written. Until then, everything else fails with ErrNoSuchBucket.
	Create bool

	// Sync makes a write return only when the object is on disk (fsync), so
	// that it survives a crash of the machine. It is slow for many small
	// objects.
	Sync bool
}

// Bucket is a directory. It implements [blob.Bucket], [blob.Copier],
// [blob.Stager] and [blob.UploadCleaner].
//
// Conditional writes are exact among the users of one Bucket. Between
// processes IfNoneMatch still is, by link(2); IfMatch is not, and fails only
// where the other write was finished before.
type Bucket struct {
	dir    string
	create bool
	sync   bool

	opening sync.Mutex
	root    *os.Root // nil until the directory is there; see ready

	// commit is held while an object gets its name, so that a condition is
	// still true when it does.
	commit sync.Mutex
}

var (
	_ blob.Bucket        = (*Bucket)(nil)
	_ blob.Copier        = (*Bucket)(nil)
	_ blob.Stager        = (*Bucket)(nil)
	_ blob.UploadCleaner = (*Bucket)(nil)
)

// Open opens the bucket in a directory. A missing one is an error, unless
// Options.Create.
func Open(dir string, opts Options) (*Bucket, error) {
	b := &Bucket{dir: dir, create: opts.Create, sync: opts.Sync}
	err := b.ready(false)
	if err != nil && !(opts.Create && errors.Is(err, blob.ErrNoSuchBucket)) {
		return nil, b.error("Open", "", err)
	}
	return b, nil
}

// ready opens the directory where it has not been, for all that use root
// afterwards, and makes it first where something is to be written.
func (b *Bucket) ready(write bool) error {
	b.opening.Lock()
	defer b.opening.Unlock()
	if b.root != nil {
		return nil
	}
	if write && b.create {
		if err := os.MkdirAll(b.dir, 0o777); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(b.dir)
	if isMissing(err) {
		return fmt.Errorf("%w: %v", blob.ErrNoSuchBucket, err)
	}
	b.root = root
	return err
}

// String returns "file://" and the directory.
func (b *Bucket) String() string { return "file://" + b.dir }

// Close closes the directory. Open bodies stay good.
func (b *Bucket) Close() error {
	b.opening.Lock()
	defer b.opening.Unlock()
	if b.root == nil {
		return nil
	}
	return b.root.Close()
}

// error makes a *blob.Error, with the sentinel for what the operating system
// says.
func (b *Bucket) error(op, key string, err error) error {
	switch {
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrNoSuchBucket):
	case isMissing(err):
		err = fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: %w", blob.ErrAccessDenied, err)
	case errors.Is(err, syscall.EROFS):
		err = fmt.Errorf("%w: %w", blob.ErrReadOnly, err)
	}
	return &blob.Error{Op: op, Bucket: b.String(), Key: key, Err: err}
}

// isMissing tells whether err says that there is no object: no file, one that
// lies where a folder of its key would be, or one that is no regular file.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, blob.ErrNotFound)
}

// maxName is how many bytes the name of a file can have on nearly every system.
const maxName = 255

// checkKey returns an error that wraps blob.ErrInvalidKey unless an object
// with the key can be a file.
func checkKey(key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if !fs.ValidPath(key) || key == "." {
		return fmt.Errorf("%w: it is no clean relative path", blob.ErrInvalidKey)
	}
	for name := range strings.SplitSeq(key, "/") {
		if len(name) > maxName {
			return fmt.Errorf("%w: a part of it has %d bytes, and names of files at most %d", blob.ErrInvalidKey, len(name), maxName)
		}
		if isTemp(name) {
			return fmt.Errorf("%w: names that begin with %q are those of temporary files", blob.ErrInvalidKey, tempPrefix)
		}
	}
	return nil
}

// checkRead is checkKey for operations on an object that exists: one with such
// a key cannot.
func checkRead(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := checkKey(key); err != nil {
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	return nil
}

// attrs are the attributes of the file with the key.
func attrs(key string, info fs.FileInfo) blob.Attrs {
	return blob.Attrs{Key: key, Size: info.Size(), ETag: etag(info), ModTime: info.ModTime()}
}

// etag names the state of a file: no two writes have the same.
func etag(info fs.FileInfo) string {
	b := make([]byte, 0, 48)
	b = append(b, '"')
	b = strconv.AppendUint(b, inode(info), 16)
	b = append(b, '-')
	b = strconv.AppendInt(b, info.ModTime().UnixNano(), 16)
	b = append(b, '-')
	b = strconv.AppendInt(b, info.Size(), 16)
	return string(append(b, '"'))
}

// Head returns the attributes of an object.
func (b *Bucket) Head(ctx context.Context, key string) (blob.Attrs, error) {
	if err := checkRead(ctx, key); err != nil {
		return blob.Attrs{}, b.error("Head", key, err)
	}
	a, err := b.stat(key)
	if err != nil {
		return blob.Attrs{}, b.error("Head", key, err)
	}
	return a, nil
}

func (b *Bucket) stat(key string) (blob.Attrs, error) {
	if err := b.ready(false); err != nil {
		return blob.Attrs{}, err
	}
	info, err := b.root.Stat(key)
	if err != nil {
		return blob.Attrs{}, err
	}
	if !info.Mode().IsRegular() {
		return blob.Attrs{}, notRegular(info)
	}
	return attrs(key, info), nil
}

// notRegular is the error for what has the name of an object and is none.
func notRegular(info fs.FileInfo) error {
	return fmt.Errorf("%w: it is no regular file but %s", blob.ErrNotFound, info.Mode().Type())
}

// Get opens an object or a part of it. The Body has a WriteTo that lets the
// kernel do the copying, where it can.
func (b *Bucket) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	if err := checkRead(ctx, key); err != nil {
		return nil, b.error("Get", key, err)
	}
	f, a, err := b.open(key)
	if err != nil {
		return nil, b.error("Get", key, err)
	}
	obj, err := newObject(ctx, f, a, opts)
	if err != nil {
		f.Close()
		return nil, b.error("Get", key, err)
	}
	return obj, nil
}

// open opens the file of an object. It asks what the file is before it opens
// it, since opening a named pipe would wait.
func (b *Bucket) open(key string) (*os.File, blob.Attrs, error) {
	if _, err := b.stat(key); err != nil {
		return nil, blob.Attrs{}, err
	}
	f, err := b.root.Open(key)
	if err != nil {
		return nil, blob.Attrs{}, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(info)
	}
	if err != nil {
		f.Close()
		return nil, blob.Attrs{}, err
	}
	return f, attrs(key, info), nil
}

// CopyFrom copies an object of another bucket of this package, on file systems
// that can without duplicating its blocks.
func (b *Bucket) CopyFrom(ctx context.Context, key string, src blob.Bucket, srcKey string, opts blob.PutOptions) (blob.Attrs, error) {
	from, ok := blob.As[*Bucket](src)
	if !ok {
		return blob.Attrs{}, b.error("Copy", key, errors.ErrUnsupported)
	}
	if err := checkRead(ctx, srcKey); err != nil {
		return blob.Attrs{}, from.error("Copy", srcKey, err)
	}
	f, a, err := from.open(srcKey)
	if err != nil {
		return blob.Attrs{}, from.error("Copy", srcKey, err)
	}
	defer f.Close()
	return b.Put(ctx, key, io.NewSectionReader(f, 0, a.Size), opts)
}

// Delete removes objects, and the folders that are empty then.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	var errs []error
	for _, key := range keys {
		if ctx.Err() != nil {
			return errors.Join(append(errs, b.error("Delete", key, context.Cause(ctx)))...)
		}
		if err := b.remove(key); err != nil {
			errs = append(errs, b.error("Delete", key, err))
		}
	}
	return errors.Join(errs...)
}

func (b *Bucket) remove(key string) error {
	if checkKey(key) != nil {
		return nil // there is no such object
	}
	if err := b.ready(false); err != nil {
		return err
	}
	info, err := b.root.Lstat(key)
	if err == nil && !info.IsDir() {
		err = b.root.Remove(key)
	}
	if err != nil && !isMissing(err) {
		return err
	}
	b.prune(path.Dir(key))
	return nil
}

// prune removes a folder of the bucket, and those above it, as far as they are
// empty.
func (b *Bucket) prune(dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		if info, err := b.root.Lstat(dir); err != nil || !info.IsDir() || b.root.Remove(dir) != nil {
			return
		}
	}
}
