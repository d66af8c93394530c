// Package fileblob is a [blob.Bucket] in a directory, laid out as Nix lays out
// its file:// caches: the key of an object is its path below the directory.
// Each can read what the other wrote, and a web server can serve the directory.
//
// A directory stores bytes only. Content types, content encodings and cache
// control are not kept. Readers tell a compressed log from a plain one by its
// first bytes, as Nix does.
//
// # Keys
//
// A key that is not a clean relative path (fs.ValidPath), or that the operating
// system has no file name for, cannot be stored. An object cannot lie beside
// others that have its key and a slash as prefix. No key leads outside the
// directory, also not through symbolic links ([os.Root]). Only regular files are
// objects: opening a named pipe or a device never blocks.
//
// # Writes
//
// An object is written to a temporary file, which is renamed when it is whole.
// The names of temporary files begin with ".nixs3-put-". They are in the folder
// of their object, staged ones in "nar". They are not listed, and no key can
// contain such a name. [Bucket.Uploads] finds those that a killed writer left.
//
// When a write or a Delete returns, its result is on disk: first the file is
// synced (fsync), then it gets its name, then its folder and those above are
// synced. So an object that was written after another never survives a power
// loss without it. Writes at the same time share the syncs of folders.
// [Options.NoSync] turns this off.
//
// Files have mode 0644 and folders 0755, as Nix makes them, whatever the umask.
package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"example.com/nixs3/store/blob"
)

// Options are the settings of a bucket. The zero value is good for caches.
type Options struct {
	// Create makes a missing directory, and those above it, with the first
	// write. Until then everything else fails with ErrNoSuchBucket.
	Create bool

	// NoSync lets writes return before the object is on disk. They are faster,
	// and a power loss can then leave any objects empty, cut or missing.
	NoSync bool
}

// Bucket is a directory. It implements [blob.Bucket], [blob.Copier],
// [blob.Stager] and [blob.UploadCleaner].
//
// Conditional writes are exact among the users of one Bucket. Between processes
// IfNoneMatch is exact too, by link(2). IfMatch is not: it fails only if the
// other write has finished before.
type Bucket struct {
	dir    string
	create bool
	names  names

	opening sync.Mutex
	root    *os.Root // nil until the directory exists; see ready

	// observe, in tests, gets every step that changes the directory.
	observe func(step string, names ...string)
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
	b := &Bucket{dir: dir, create: opts.Create}
	b.names.sync = !opts.NoSync
	err := b.ready(false)
	if err != nil && !(opts.Create && errors.Is(err, blob.ErrNoSuchBucket)) {
		return nil, b.error("Open", "", err)
	}
	return b, nil
}

// ready opens the directory if that has not been done, for everything that uses
// root afterwards. A write makes the directory first.
func (b *Bucket) ready(write bool) error {
	b.opening.Lock()
	defer b.opening.Unlock()
	if b.root != nil {
		return nil
	}
	if write && b.create {
		if err := makeDirectory(b.dir, b.names.sync); err != nil {
			return err
		}
	}
	// OpenRoot would wait for the writer of a named pipe.
	if info, err := os.Stat(b.dir); err == nil && !info.IsDir() {
		return fmt.Errorf("expected a directory, got a %s", typeName(info.Mode()))
	}
	root, err := os.OpenRoot(b.dir)
	if isMissing(err) {
		return fmt.Errorf("%w: %v", blob.ErrNoSuchBucket, withoutPath(err))
	}
	b.root = root
	return err
}

// String returns "file://" and the directory.
func (b *Bucket) String() string { return "file://" + b.dir }

// Close closes the directory. Open bodies stay valid.
func (b *Bucket) Close() error {
	b.opening.Lock()
	defer b.opening.Unlock()
	if b.root == nil {
		return nil
	}
	return b.root.Close()
}

// error makes a *blob.Error with the sentinel for an error of the operating
// system.
func (b *Bucket) error(op, key string, err error) error {
	err = withoutPath(err)
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

// withoutPath removes the name of a file from an error that is wrapped in one
// with the directory and the key.
func withoutPath(err error) error {
	switch e := err.(type) {
	case *fs.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	case *os.SyscallError:
		return e.Err
	}
	return err
}

// isMissing reports whether err means that there is no object: no file, a file
// in the place of a folder of the key, or a file that is not regular.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, blob.ErrNotFound)
}

// maxName is the longest name of a file on nearly every system, in bytes.
const maxName = 255

// checkKey returns an error that wraps blob.ErrInvalidKey unless an object
// with the key can be a file.
func checkKey(key string) error {
	if err := blob.ValidateKey(key); err != nil {
		return err
	}
	if !fs.ValidPath(key) || key == "." {
		return fmt.Errorf("%w: not a clean relative path", blob.ErrInvalidKey)
	}
	for name := range strings.SplitSeq(key, "/") {
		if len(name) > maxName {
			return fmt.Errorf("%w: a part of it has %d bytes, expected at most %d, as names of files have", blob.ErrInvalidKey, len(name), maxName)
		}
		if isTemp(name) {
			return fmt.Errorf("%w: names that begin with %q are of temporary files", blob.ErrInvalidKey, tempPrefix)
		}
	}
	return nil
}

// checkRead is checkKey for reads: no object with an invalid key exists.
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

// etag names the state of a file: no two writes have the same one.
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

// notRegular is the error for a file that is not an object.
func notRegular(info fs.FileInfo) error {
	return fmt.Errorf("%w: not a regular file (%s)", blob.ErrNotFound, typeName(info.Mode()))
}

func typeName(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "regular file"
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		return "device"
	}
	return mode.Type().String()
}

// Get opens an object or a part of it. The Body has a WriteTo that lets the
// kernel copy, where it can.
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

// open opens the file of an object.
func (b *Bucket) open(key string) (*os.File, blob.Attrs, error) {
	if err := b.ready(false); err != nil {
		return nil, blob.Attrs{}, err
	}
	f, err := b.openFile(key)
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

// openFile opens a file or a folder for reading. It does not wait if a named
// pipe has the name; the caller looks at what it got.
func (b *Bucket) openFile(name string) (*os.File, error) {
	f, err := b.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if errors.Is(err, syscall.ENXIO) { // a socket, or a device without a driver
		return nil, fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	return f, err
}

// CopyFrom copies an object of another bucket of this package. File systems
// that can do so share its blocks.
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

// Delete removes objects, and the folders that are empty afterwards.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	var errs []error
	var folders []string
	for _, key := range keys {
		if ctx.Err() != nil {
			errs = append(errs, b.error("Delete", key, context.Cause(ctx)))
			break
		}
		removed, err := b.remove(key)
		if err != nil {
			errs = append(errs, b.error("Delete", key, err))
		}
		if dir := path.Dir(key); removed && !slices.Contains(folders, dir) {
			folders = append(folders, dir)
		}
	}
	if len(folders) > 0 {
		err := b.names.change(ctx, b, folders, func() error { return nil })
		if err != nil {
			errs = append(errs, b.error("Delete", keys[0], err))
		}
	}
	return errors.Join(errs...)
}

// remove removes an object and reports whether there was one.
func (b *Bucket) remove(key string) (bool, error) {
	if checkKey(key) != nil {
		return false, nil // there is no such object
	}
	if err := b.ready(false); err != nil {
		return false, err
	}
	info, err := b.root.Lstat(key)
	removed := err == nil && !info.IsDir()
	if removed {
		err = b.removeFile(key)
	}
	if err != nil && !isMissing(err) {
		return false, err
	}
	b.prune(path.Dir(key))
	return removed, nil
}

func (b *Bucket) removeFile(name string) error {
	err := b.root.Remove(name)
	if err == nil {
		b.did("remove", name)
	}
	return err
}
