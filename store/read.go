package store

import (
	"context"
	"errors"
	"io"
	"sync"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/naming"
)

// NAR opens the archive of a path, decompressed and verified while it is read.
func (c *Cache) NAR(ctx context.Context, p storepath.Path) (io.ReadCloser, error) {
	info, err := c.NarInfo(ctx, p)
	if err != nil {
		return nil, err
	}
	return c.OpenNAR(ctx, info)
}

// OpenNAR opens the archive of a narinfo, decompressed and verified while it is
// read: NarHash and NarSize, and FileHash and FileSize where they are given.
// It holds memory of the budget until it is closed, and a place among the
// archives that are read until it is read to its end. A caller that holds many
// at once needs a budget for them.
func (c *Cache) OpenNAR(ctx context.Context, info *narinfo.NarInfo) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	file, err := c.OpenCompressed(ctx, info)
	if err != nil {
		cancel()
		return nil, err
	}
	place, err := c.places.read(ctx, info)
	if err != nil {
		cancel()
		return nil, errors.Join(err, file.Close())
	}
	v := newVerifiedReader(fileClaims(info, file), c.contentSum(&info.PathInfo))
	v.start(ctx, file, place.parallel)
	return &openArchive{verifiedReader: v, cancel: cancel, leave: place.leave}, nil
}

// openArchive is an archive that holds a place.
type openArchive struct {
	*verifiedReader
	once   sync.Once
	cancel context.CancelFunc // makes a blocked Read of the bucket's body return
	leave  func()
}

// Close ends the reading, early or not, and waits for its goroutines.
func (a *openArchive) Close() error {
	a.once.Do(func() {
		a.stop()
		a.cancel()
		a.wait()
		a.leave()
	})
	return nil
}

// Interrupt makes a blocked Read return the error.
func (a *openArchive) Interrupt(err error) { a.fan.Fail(err) }

// OpenCompressed opens the archive of a narinfo as it is stored: compressed,
// and not verified; a Content-Encoding of its object is decoded. The caller must
// verify it: an interrupted download is resumed even if nothing proves that the
// archive is still the same. It holds a place among the archives that are read
// until it is read to its end or closed.
func (c *Cache) OpenCompressed(ctx context.Context, info *narinfo.NarInfo) (io.ReadCloser, error) {
	if err := c.trust(&info.PathInfo); err != nil {
		return nil, err
	}
	leave, err := c.places.reads.enter(ctx, 1)
	if err != nil {
		return nil, err
	}
	obj, err := c.bucket.GetRef(ctx, info.URL, blob.GetOptions{Verified: true})
	if err != nil {
		leave()
		return nil, naming.Error("archive of "+info.Path.String(), info.Path.String(), err)
	}
	file, err := c.openFile(info, obj)
	if err != nil {
		leave()
		return nil, errors.Join(err, obj.Body.Close())
	}
	return &transferBody{file, leave}, nil
}

// openFile returns the archive in an object.
func (c *Cache) openFile(info *narinfo.NarInfo, obj *blob.Object) (io.ReadCloser, error) {
	if codec.HasEncoding(obj.ContentEncoding) {
		return openEncoded(info, obj)
	}
	if info.FileSize > 0 && obj.Length >= 0 && obj.Length != info.FileSize {
		return nil, &SizeMismatchError{Path: info.Path, Key: info.URL, Field: "FileSize", Wanted: info.FileSize, Got: obj.Length}
	}
	return obj.Body, nil
}

// transferBody frees its place when it has been read to its end or is closed, so
// that others can use it while a copy still sends.
type transferBody struct {
	io.ReadCloser
	leave func()
}

func (t *transferBody) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil {
		t.leave()
	}
	return n, err
}

func (t *transferBody) Close() error {
	defer t.leave()
	return t.ReadCloser.Close()
}
