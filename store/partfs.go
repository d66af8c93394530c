package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/naming"
	"example.com/nixs3/store/layout"
)

const (
	// fetchWhole is the size of an archive, as it is stored, up to which
	// fetching all of it costs less than finding parts.
	fetchWhole = 256 << 10

	// leastRange and mostRange bound the bytes of an archive that one request
	// reads. Sequential reading doubles them.
	leastRange = 256 << 10
	mostRange  = 8 << 20

	// partMemory is the memory of an archive that is read in parts: a range, and
	// pieces of the compression.
	partMemory = 2*mostRange + leastRange
)

// UnverifiedFS opens a path's archive as a file system that fetches what is
// read, and no more, where that is possible: with a stored listing, from
// archives that are not compressed, that are zstd with a seek table or an index
// object (see [Cache.PutIndex]), or that are xz with several blocks. Other
// archives, and small ones, are fetched whole and verified, as [Cache.FS] does;
// ArchiveFS.Verified reports which.
//
// Reading parts cannot verify the archive: NarHash is not checked, and the
// listing is an unverified claim of the cache. UnverifiedFS does check offsets
// and sizes, the checksums of compressed pieces, that the archive does not change
// meanwhile, and signatures, as for every read.
func (c *Cache) UnverifiedFS(ctx context.Context, p storepath.Path) (*ArchiveFS, error) {
	info, err := c.NarInfo(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := c.trust(&info.PathInfo); err != nil {
		return nil, err
	}
	a, err := c.partFS(ctx, info)
	switch {
	case err == nil:
		return a, nil
	case errors.Is(err, codec.ErrNoIndex):
		return c.openFS(ctx, info)
	}
	return nil, err
}

// RangeFS is UnverifiedFS for callers that have something better to do than to
// fetch an archive whole: it fails with [codec.ErrNoIndex] then. The narinfo is
// one of the cache.
func (c *Cache) RangeFS(ctx context.Context, info *narinfo.NarInfo) (*ArchiveFS, error) {
	if err := c.trust(&info.PathInfo); err != nil {
		return nil, err
	}
	return c.partFS(ctx, info)
}

// NARAt is the NAR in a stored archive, read in ranges. Nothing but the checksums
// of compressed pieces is verified. It is safe for concurrent use until it is
// closed.
type NARAt struct {
	io.ReaderAt
	Size int64 // as the index of the archive states it

	leave func()
}

// Close ends the use of the NAR.
func (n *NARAt) Close() { n.leave() }

// NARAt opens the NAR in an archive at any offset. It uses URL, Compression and
// FileSize of a narinfo, and NarSize where that is not zero. It fails with
// [codec.ErrNoIndex] where the archive has to be fetched whole.
func (c *Cache) NARAt(ctx context.Context, info *narinfo.NarInfo) (*NARAt, error) {
	if info.FileSize <= fetchWhole || c.settings.LocalNARCache != "" {
		return nil, codec.ErrNoIndex
	}
	leave, err := c.places.reading.enter(ctx, partMemory)
	if err != nil {
		return nil, err
	}
	contents, size, err := c.contentsAt(ctx, info, &rangeReader{ctx: ctx, cache: c, info: info, size: info.FileSize})
	if err != nil {
		leave()
		return nil, err
	}
	return &NARAt{contents, size, leave}, nil
}

// partFS fails with codec.ErrNoIndex where the archive has to be fetched whole.
func (c *Cache) partFS(ctx context.Context, info *narinfo.NarInfo) (*ArchiveFS, error) {
	if info.FileSize <= fetchWhole {
		return nil, codec.ErrNoIndex
	}
	listing, err := c.storedListing(ctx, info.Path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", codec.ErrNoIndex, err)
	}
	contents, err := c.NARAt(ctx, info)
	if err != nil {
		return nil, err
	}
	return &ArchiveFS{FS: nar.NewFS(contents, listing), Info: info, Listing: listing, close: func() error { contents.Close(); return nil }}, nil
}

// contentsAt returns a reader of the NAR in an archive at any offset, and its
// size.
func (c *Cache) contentsAt(ctx context.Context, info *narinfo.NarInfo, archive *rangeReader) (io.ReaderAt, int64, error) {
	if info.Compression == codec.None {
		if info.NarSize > 0 && info.FileSize != info.NarSize {
			return nil, 0, fmt.Errorf("%w: FileSize is not NarSize", codec.ErrNoIndex)
		}
		return archive, info.FileSize, archive.probe()
	}
	index, err := codec.FindIndex(string(info.Compression), archive, info.FileSize)
	if errors.Is(err, codec.ErrNoIndex) && info.Compression == narinfo.CompressionZstd {
		index, err = c.storedIndex(ctx, info)
	}
	switch {
	case err != nil:
		return nil, 0, err
	case info.NarSize > 0 && index.Size() != info.NarSize:
		return nil, 0, fmt.Errorf("%w: expected one of %d bytes, got one of %d", codec.ErrNoIndex, info.NarSize, index.Size())
	case index.Pieces() < 2:
		return nil, 0, fmt.Errorf("%w: the archive is one piece", codec.ErrNoIndex)
	}
	return index.NewReaderAt(archive), index.Size(), nil
}

// storedIndex reads the index object of an archive.
func (c *Cache) storedIndex(ctx context.Context, info *narinfo.NarInfo) (*codec.Index, error) {
	if info.FileHash.Algorithm() != nixhash.SHA256 {
		return nil, codec.ErrNoIndex
	}
	// Not decoded: the object is a zstd frame itself.
	text, _, err := blob.ReadAll(ctx, c.bucket, layout.IndexKey(info.FileHash), layout.Index.Limit())
	if c.missing(ctx, err) {
		return nil, codec.ErrNoIndex
	}
	if err != nil {
		return nil, err
	}
	return codec.ParseIndex(text, info.FileSize)
}

// PutIndex stores the index of a path's archive, with which UnverifiedFS reads
// parts of it, unless the archive contains one. It reads the whole archive once,
// and decompresses nothing. It fails with [codec.ErrNoIndex] if the compression
// has no independent pieces.
func (c *Cache) PutIndex(ctx context.Context, p storepath.Path) error {
	info, err := c.NarInfo(ctx, p)
	if err != nil {
		return err
	}
	if info.Compression == codec.None {
		return nil
	}
	if info.FileSize <= 0 || info.FileHash.Algorithm() != nixhash.SHA256 {
		return fmt.Errorf("%s: %w: expected a narinfo with FileSize and FileHash", p, codec.ErrNoIndex)
	}
	archive := &rangeReader{ctx: ctx, cache: c, info: info, size: info.FileSize}
	switch _, err := codec.FindIndex(string(info.Compression), archive, info.FileSize); {
	case err == nil:
		return nil
	case !errors.Is(err, codec.ErrNoIndex):
		return err
	}
	r, err := c.OpenCompressed(ctx, info)
	if err != nil {
		return err
	}
	defer r.Close()
	index, err := codec.BuildIndex(string(info.Compression), r, info.FileSize)
	if err != nil {
		return naming.Error("archive of "+p.String(), p.String(), err)
	}
	text, err := index.MarshalBinary()
	if err != nil {
		return err
	}
	if limit := layout.Index.Limit(); int64(len(text)) > limit {
		return fmt.Errorf("index of %s: expected at most %d bytes, got %d", p, limit, len(text))
	}
	_, err = c.putSmall(ctx, layout.IndexKey(info.FileHash), text, codec.None, blob.PutOptions{ContentType: layout.Index.ContentType()})
	return err
}

// rangeReader reads a stored archive in ranges. It keeps the last one, and reads
// farther ahead the longer a caller reads sequentially. It is safe for concurrent
// use, and sends one request at a time.
type rangeReader struct {
	ctx   context.Context
	cache *Cache
	info  *narinfo.NarInfo
	size  int64

	mu   sync.Mutex
	etag string // of the first answer
	buf  []byte
	at   int64 // of buf
	next int   // the size of the next range
}

func (r *rangeReader) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= r.size {
			return n, io.EOF
		}
		if at < r.at || at >= r.at+int64(len(r.buf)) {
			if err := r.fetch(at, len(p)-n); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], r.buf[at-r.at:])
	}
	return n, nil
}

// fetch fills the buffer with the range at an offset.
func (r *rangeReader) fetch(at int64, want int) error {
	if at != r.at+int64(len(r.buf)) {
		r.next = leastRange
	}
	length := min(max(int64(want), int64(r.next)), mostRange, r.size-at)
	r.next = min(2*r.next, mostRange)
	if int64(cap(r.buf)) < length {
		r.buf = make([]byte, length)
	}
	buf := r.buf[:length]
	r.buf = r.buf[:0]
	obj, err := r.open(at, length)
	if err != nil {
		return err
	}
	defer obj.Body.Close()
	if obj.Offset != at || obj.Length >= 0 && obj.Length != length {
		return fmt.Errorf("archive of %s: expected %d bytes at %d, got %d at %d", r.info.Path, length, at, obj.Length, obj.Offset)
	}
	if obj.Size > 0 && obj.Size != r.size {
		return &SizeMismatchError{Path: r.info.Path, Key: r.info.URL, Field: "FileSize", Wanted: r.size, Got: obj.Size}
	}
	if _, err := io.ReadFull(obj.Body, buf); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return naming.Error("archive of "+r.info.Path.String(), r.info.Path.String(), err)
	}
	r.buf, r.at = buf, at
	if r.etag == "" {
		r.etag = strongETag(obj.ETag)
	}
	return nil
}

// open asks for a range. It fails with codec.ErrNoIndex for an object that has a
// Content-Encoding, whose ranges are not those of the archive.
func (r *rangeReader) open(at, length int64) (*blob.Object, error) {
	obj, err := r.cache.bucket.GetRef(r.ctx, r.info.URL, blob.GetOptions{Offset: at, Length: length, IfMatch: r.etag})
	if errors.Is(err, errors.ErrUnsupported) { // the server has no ranges
		err = fmt.Errorf("%w: %w", codec.ErrNoIndex, err)
	}
	if err != nil {
		return nil, naming.Error("archive of "+r.info.Path.String(), r.info.Path.String(), err)
	}
	if codec.HasEncoding(obj.ContentEncoding) {
		err := fmt.Errorf("archive of %s: %w: it has the Content-Encoding %q", r.info.Path, codec.ErrNoIndex, obj.ContentEncoding)
		return nil, errors.Join(err, obj.Body.Close())
	}
	return obj, nil
}

// probe finds out whether ranges of the object are ranges of the archive.
func (r *rangeReader) probe() error {
	obj, err := r.open(0, 1)
	if err != nil {
		return err
	}
	return obj.Body.Close()
}

// strongETag returns an ETag that identifies the bytes of an object, "" for a
// weak one.
func strongETag(etag string) string {
	if len(etag) > 2 && etag[:2] == "W/" {
		return ""
	}
	return etag
}
