package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/nixs3/store/blob"
)

// spoolMemory is the size in bytes up to which a compressed NAR stays in memory.
const spoolMemory = 512 << 10

// stage opens a place for bytes whose key is not known yet: in the bucket if it
// is a blob.Stager, else in a spool. size is the expected number of bytes, 0 if
// unknown.
func (c *Cache) stage(ctx context.Context, size int64) (blob.Staged, error) {
	if st, ok := blob.As[blob.Stager](c.bucket); ok {
		return st.Stage(ctx)
	}
	return &spool{ctx: ctx, bucket: c.bucket, dir: c.settings.SpoolDir, expected: size}, nil
}

// spool is a blob.Staged for buckets that are not a blob.Stager. It keeps the
// bytes in memory while they are few, and then all of them in an unlinked
// temporary file.
type spool struct {
	ctx      context.Context
	bucket   blob.Bucket
	dir      string
	expected int64 // size, or 0
	mem      []byte
	file     *os.File
	size     int64
}

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && max(int64(len(s.mem)+len(p)), s.expected) > spoolMemory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	if s.file == nil {
		if s.mem == nil {
			s.mem = make([]byte, 0, max(int64(len(p)), s.expected))
		}
		s.mem = append(s.mem, p...)
		s.size += int64(len(p))
		return len(p), nil
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	return n, err
}

func (s *spool) spill() error {
	f, err := os.CreateTemp(s.dir, "nixs3-spool-*")
	if err != nil {
		return fmt.Errorf("spooling a NAR: %w", err)
	}
	s.file = f
	// Where a file in use cannot be removed, Close does it.
	_ = os.Remove(f.Name())
	if _, err := f.Write(s.mem); err != nil {
		return fmt.Errorf("spooling a NAR: %w", err)
	}
	s.mem = nil
	return nil
}

func (s *spool) content() blob.Content {
	if s.file == nil {
		return bytes.NewReader(s.mem)
	}
	return io.NewSectionReader(s.file, 0, s.size)
}

func (s *spool) Commit(key string, opts blob.PutOptions) (blob.Attrs, error) {
	return s.bucket.Put(s.ctx, key, s.content(), opts)
}

func (s *spool) Close() error {
	s.mem = nil
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	err := f.Close()
	if rerr := os.Remove(f.Name()); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
