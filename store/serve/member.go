package serve

import (
	"context"
	"errors"
	"io"
	"path"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
)

// verifyUpTo is the size of a NAR up to which a single file is shown only after
// all of it was verified, where it is not read in ranges.
const verifyUpTo = 64 << 20

// errTooLarge is a file that is too large to be shown.
var errTooLarge = errors.New("too large")

// readFile reads a file of at most maxText bytes out of the archive of a path:
// by ranges where the archive has an index, else from the beginning. It reports
// whether the whole archive was verified.
func (s *Server) readFile(ctx context.Context, info *narinfo.NarInfo, name string) (text []byte, verified bool, err error) {
	archive, err := s.cache.RangeFS(ctx, info)
	if err == nil {
		defer archive.Close()
		text, err = archive.ReadFile(path.Join(".", name))
		if err == nil && len(text) > maxText {
			err = errTooLarge
		}
		return text, false, err
	}
	if !errors.Is(err, codec.ErrNoIndex) {
		return nil, false, err
	}
	r, err := s.cache.NAR(ctx, info.Path)
	if err != nil {
		return nil, false, err
	}
	defer r.Close()
	// The archive decides what the file is: no signature covers a listing.
	member := nar.NewReader(r)
	header, err := find(member, name)
	if err != nil {
		return nil, false, err
	}
	if header.Size > maxText {
		return nil, false, errTooLarge
	}
	if text, err = io.ReadAll(member); err != nil || info.NarSize > verifyUpTo {
		return text, false, err
	}
	_, err = io.Copy(io.Discard, r)
	return text, err == nil, err
}

// member is a regular file of an archive that is named by its key.
type member struct {
	size  int64
	attrs blob.Attrs
	open  func(part byteRange) (io.Reader, error)
	close func()
}

// openMember finds a file in an archive of the bucket: by ranges where the
// archive has an index, else from the beginning.
func (s *Server) openMember(ctx context.Context, key, name string) (*member, error) {
	attrs, err := s.bucket.Head(ctx, key)
	if err != nil {
		return nil, err
	}
	info := &narinfo.NarInfo{URL: key, Compression: compressionOf(key), FileSize: attrs.Size}
	if info.Compression == "" {
		info.Compression = codec.None // or one without an extension, which is no NAR then
	}
	if at, err := s.cache.NARAt(ctx, info); err == nil {
		header, err := find(nar.NewReader(io.NewSectionReader(at, 0, at.Size)), name)
		if err == nil {
			open := func(part byteRange) (io.Reader, error) {
				return io.NewSectionReader(at, header.ContentOffset+part.offset, part.length), nil
			}
			return &member{header.Size, attrs, open, at.Close}, nil
		}
		at.Close()
		if isAbsent(err) {
			return nil, err
		}
	}
	obj, err := s.bucket.Get(ctx, key, blob.GetOptions{})
	if err != nil {
		return nil, err
	}
	plain, _, err := codec.NewReaderDetect(string(compressionOf(key)), obj.Body, codec.ReaderOptions{MaxSize: s.limits.NarSize})
	if err != nil {
		obj.Body.Close()
		return nil, err
	}
	closeAll := func() {
		plain.Close()
		obj.Body.Close()
	}
	r := nar.NewReader(plain)
	header, err := find(r, name)
	if err != nil {
		closeAll()
		return nil, err
	}
	open := func(part byteRange) (io.Reader, error) {
		if _, err := io.CopyN(io.Discard, r, part.offset); err != nil {
			return nil, err
		}
		return io.LimitReader(r, part.length), nil
	}
	return &member{header.Size, obj.Attrs, open, closeAll}, nil
}
