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
	"time"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/ctxio"
)

// tempPrefix begins the names of unfinished files.
const tempPrefix = ".nixs3-put-"

func isTemp(name string) bool { return strings.HasPrefix(name, tempPrefix) }

// Put stores an object. The kernel copies content that is a part of an *os.File,
// where it can. PutOptions.SHA256 is not checked, since that would cost more than
// the copy.
func (b *Bucket) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	a, err := b.put(ctx, key, content, opts)
	if err != nil {
		return blob.Attrs{}, b.error("Put", key, err)
	}
	return a, nil
}

// checkEncoding refuses the one Content-Encoding that readers cannot detect by
// the bytes, since a directory keeps only the bytes.
func checkEncoding(opts blob.PutOptions) error {
	if opts.ContentEncoding == "br" {
		return errors.New("a directory keeps no Content-Encoding, and the bytes do not show br; expected another encoding or none")
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
	return t.commit(ctx, key, opts)
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

// temp is a file that becomes an object.
type temp struct {
	bucket *Bucket
	name   string // empty when the file is an object or gone
	file   *os.File
}

// createTemp creates a temporary file in a folder of the bucket.
func (b *Bucket) createTemp(dir string) (*temp, error) {
	if err := b.ready(true); err != nil {
		return nil, err
	}
	name := path.Join(dir, tempPrefix+rand.Text())
	var file *os.File
	err := b.inFolder(dir, func() (err error) {
		file, err = b.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.did("create", name)
	return &temp{bucket: b, name: name, file: file}, nil
}

// commit makes the file the object with the key, if the conditions hold.
func (t *temp) commit(ctx context.Context, key string, opts blob.PutOptions) (blob.Attrs, error) {
	// File systems keep times as coarse as the ticks of the kernel. With the
	// exact time no two writes have the same ETag.
	if err := setTime(t.file, time.Now()); err != nil {
		return blob.Attrs{}, err
	}
	info, err := t.file.Stat()
	if err != nil {
		return blob.Attrs{}, err
	}
	if info.Mode().Perm() != fileMode && runtime.GOOS != "windows" { // the umask
		if err := t.file.Chmod(fileMode); err != nil {
			return blob.Attrs{}, err
		}
	}
	if t.bucket.names.sync {
		if err := t.file.Sync(); err != nil {
			return blob.Attrs{}, err
		}
		t.bucket.did("sync", t.name)
	}
	if err := t.file.Close(); err != nil {
		return blob.Attrs{}, err
	}
	dir := path.Dir(key)
	err = t.bucket.names.change(ctx, t.bucket, []string{dir}, func() error {
		return t.bucket.inFolder(dir, func() error { return t.bucket.publish(t.name, key, opts) })
	})
	if err != nil {
		return blob.Attrs{}, err
	}
	if from := path.Dir(t.name); from != dir {
		t.bucket.prune(from)
	}
	t.name = ""
	return attrs(key, info), nil
}

// publish renames a temporary file to the key. It runs in a change of names.
func (b *Bucket) publish(name, key string, opts blob.PutOptions) error {
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
		err := b.root.Rename(name, key)
		if err == nil {
			b.did("rename", name, key)
		}
		return err
	}
	if err := b.root.Link(name, key); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return blob.ErrPrecondition
		}
		return err
	}
	b.did("link", name, key)
	return b.removeFile(name)
}

// discard removes the file unless it became an object.
func (t *temp) discard() {
	if t.name == "" {
		return
	}
	t.file.Close()
	t.bucket.removeFile(t.name)
	t.bucket.prune(path.Dir(t.name))
	t.name = ""
}

// staged is a temporary file whose key is not known yet.
type staged struct {
	*temp
	ctx context.Context
}

// Stage opens a temporary file in the folder "nar", where nearly all staged
// objects end.
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
	return s.commit(s.ctx, key, opts)
}

func (s *staged) Close() error {
	s.discard()
	return nil
}
