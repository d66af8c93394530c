package fileblob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"syscall"
	"time"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/ctxio"
)

// tempPrefix is what the names of unfinished files begin with.
const tempPrefix = ".nixs3-put-"

func isTemp(name string) bool { return strings.HasPrefix(name, tempPrefix) }

// Put stores an object. Content that is a part of an *os.File is copied by the
// kernel where it can be. The digest of opts is not checked: that would cost
// more than the copy.
func (b *Bucket) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	a, err := b.put(ctx, key, content, opts)
	if err != nil {
		return blob.Attrs{}, b.error("Put", key, err)
	}
	return a, nil
}

// checkEncoding refuses the one Content-Encoding that readers cannot tell by
// the bytes, as all that is left of it here are the bytes.
func checkEncoding(opts blob.PutOptions) error {
	if opts.ContentEncoding == "br" {
		return errors.New("a directory keeps no Content-Encoding, and br is known by nothing else, expected another or none")
	}
	return nil
}

func (b *Bucket) put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	if ctx.Err() != nil {
		return blob.Attrs{}, context.Cause(ctx)
	}
	if err := errors.Join(checkKey(key), checkEncoding(opts)); err != nil {
		return blob.Attrs{}, err
	}
	t, err := b.createTemp(path.Dir(key))
	if err != nil {
		return blob.Attrs{}, err
	}
	defer t.discard()
	if err := copyContent(ctx, t.file, content); err != nil {
		return blob.Attrs{}, err
	}
	if ctx.Err() != nil {
		return blob.Attrs{}, context.Cause(ctx)
	}
	return t.commit(key, opts)
}

// copyContent writes content into an empty file.
func copyContent(ctx context.Context, dst *os.File, content blob.Content) error {
	size := content.Size()
	if size < 0 {
		return fmt.Errorf("content has size %d", size)
	}
	n, err := copyFile(ctx, dst, content)
	if err != nil || n == size {
		return err
	}
	rest := &ctxio.Reader{Ctx: ctx, R: io.NewSectionReader(content, n, size-n)}
	buf := make([]byte, min(size-n, ctxio.MaxRead))
	// The plain io.Writer hides ReadFrom, which would not use buf.
	written, err := io.CopyBuffer(struct{ io.Writer }{dst}, rest, buf)
	if err == nil && n+written < size {
		err = fmt.Errorf("content ends after %d of %d bytes: %w", n+written, size, io.ErrUnexpectedEOF)
	}
	return err
}

// temp is a file on its way to become an object.
type temp struct {
	bucket *Bucket
	name   string // empty when it is an object or gone
	file   *os.File
}

// attempts is how often a folder is made that somebody else removes at once,
// because it is empty.
const attempts = 100

// createTemp creates a temporary file in a folder of the bucket.
func (b *Bucket) createTemp(dir string) (*temp, error) {
	if err := b.ready(true); err != nil {
		return nil, err
	}
	name := path.Join(dir, tempPrefix+rand.Text())
	var file *os.File
	err := b.inFolder(dir, func() (err error) {
		file, err = b.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &temp{bucket: b, name: name, file: file}, nil
}

// inFolder does what needs a folder, making it where it is missing.
func (b *Bucket) inFolder(dir string, do func() error) error {
	err := do()
	for i := 0; i < attempts && dir != "." && errors.Is(err, fs.ErrNotExist); i++ {
		// That another makes or removes the folder meanwhile is no failure.
		if err := b.root.MkdirAll(dir, 0o777); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return occupied(err)
		}
		err = do()
	}
	return occupied(err)
}

// occupied explains the error of a write whose folder is an object, or whose
// name is a folder. Left alone it would read as a missing object.
func occupied(err error) error {
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) || errors.Is(err, errIsFolder) {
		return fmt.Errorf("a file and a folder cannot have the same name: %v", err)
	}
	return err
}

var errIsFolder = errors.New("a folder has the name of the object")

// commit makes the file the object with the key, where the conditions hold.
func (t *temp) commit(key string, opts blob.PutOptions) (blob.Attrs, error) {
	// Times of files are as coarse as the ticks of the kernel. With the exact
	// time no two writes have the same ETag.
	name := t.name
	now := time.Now()
	if err := t.bucket.root.Chtimes(name, now, now); err != nil {
		return blob.Attrs{}, err
	}
	if t.bucket.sync {
		if err := t.file.Sync(); err != nil {
			return blob.Attrs{}, err
		}
	}
	info, err := t.file.Stat()
	if err != nil {
		return blob.Attrs{}, err
	}
	if err := t.file.Close(); err != nil {
		return blob.Attrs{}, err
	}
	dir := path.Dir(key)
	err = t.bucket.inFolder(dir, func() error { return t.bucket.publish(name, key, opts) })
	if err != nil {
		return blob.Attrs{}, err
	}
	t.name = ""
	if path.Dir(name) != dir {
		t.bucket.prune(path.Dir(name))
	}
	if t.bucket.sync {
		if err := t.bucket.syncFolders(dir); err != nil {
			return blob.Attrs{}, err
		}
	}
	return attrs(key, info), nil
}

// syncFolders makes the names in a folder last, and those of the folders that
// lead to it, which may be new too.
func (b *Bucket) syncFolders(dir string) error {
	for {
		if err := b.syncFolder(dir); err != nil || dir == "." {
			return err
		}
		dir = path.Dir(dir)
	}
}

// syncFolder makes the names in a folder last, where the system can.
func (b *Bucket) syncFolder(dir string) error {
	f, err := b.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && runtime.GOOS != "windows" {
		return err
	}
	return nil
}

// publish renames a temporary file to the key.
func (b *Bucket) publish(name, key string, opts blob.PutOptions) error {
	b.commit.Lock()
	defer b.commit.Unlock()
	if opts.IfMatch != "" {
		old, err := b.stat(key)
		if err != nil && !isMissing(err) {
			return err
		}
		if err != nil || old.ETag != opts.IfMatch {
			return blob.ErrPrecondition
		}
	}
	if info, err := b.root.Lstat(key); err == nil && info.IsDir() {
		return errIsFolder
	}
	if !opts.IfNoneMatch {
		return b.root.Rename(name, key)
	}
	if err := b.root.Link(name, key); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return blob.ErrPrecondition
		}
		return err
	}
	return b.root.Remove(name)
}

// discard removes the file unless it became an object.
func (t *temp) discard() {
	if t.name == "" {
		return
	}
	t.file.Close()
	t.bucket.root.Remove(t.name)
	t.bucket.prune(path.Dir(t.name))
	t.name = ""
}

// staged is a temp whose key is not known yet.
type staged struct {
	*temp
	ctx context.Context
}

// Stage opens a temporary file, in the folder "nar" as nearly all that is
// staged ends there.
func (b *Bucket) Stage(ctx context.Context) (blob.Staged, error) {
	if ctx.Err() != nil {
		return nil, b.error("Stage", "", context.Cause(ctx))
	}
	t, err := b.createTemp("nar")
	if err != nil {
		return nil, b.error("Stage", "", err)
	}
	return &staged{temp: t, ctx: ctx}, nil
}

func (s *staged) Write(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.file.Write(p)
}

func (s *staged) Commit(key string, opts blob.PutOptions) (blob.Attrs, error) {
	a, err := s.commitKey(key, opts)
	if err != nil {
		return blob.Attrs{}, s.bucket.error("Put", key, err)
	}
	return a, nil
}

func (s *staged) commitKey(key string, opts blob.PutOptions) (blob.Attrs, error) {
	if s.ctx.Err() != nil {
		return blob.Attrs{}, context.Cause(s.ctx)
	}
	if s.name == "" {
		return blob.Attrs{}, errors.New("the staged object was committed or closed before")
	}
	if err := errors.Join(checkKey(key), checkEncoding(opts)); err != nil {
		return blob.Attrs{}, err
	}
	return s.commit(key, opts)
}

func (s *staged) Close() error {
	s.discard()
	return nil
}
