package codec

import (
	"bufio"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// scanZstd walks over zstd data by the headers of frames and blocks.
func scanZstd(r io.Reader, size int64) (*Index, error) {
	s := zstdScan{src: bufio.NewReaderSize(r, sourceBuffer)}
	x := &Index{codec: "zstd"}
	for {
		begin := s.n
		decoded, err := s.frame()
		if err == io.EOF && s.n == begin {
			break
		}
		if err != nil {
			return nil, err
		}
		if decoded > 0 {
			if err := x.add(begin, s.n-begin, decoded, 0); err != nil {
				return nil, err
			}
		}
	}
	if s.n != size {
		return nil, fmt.Errorf("%w: expected %d bytes of data, got %d", ErrNoIndex, size, s.n)
	}
	return x, nil
}

type zstdScan struct {
	src *bufio.Reader
	n   int64 // bytes skipped
}

// frame skips a frame and returns the size of its contents, io.EOF after the
// last frame.
func (s *zstdScan) frame() (decoded int64, err error) {
	head, err := s.src.Peek(zstd.HeaderMaxSize)
	if len(head) == 0 {
		return 0, err
	}
	var h zstd.Header
	if err := h.Decode(head); err != nil {
		return 0, fmt.Errorf("%w: frame at %d: %w", ErrNoIndex, s.n, err)
	}
	if err := s.skip(int64(h.HeaderSize)); err != nil {
		return 0, err
	}
	if h.Skippable {
		return 0, s.skip(int64(h.SkippableSize))
	}
	if !h.HasFCS || h.FrameContentSize > maxPiece || h.DictionaryID != 0 {
		return 0, fmt.Errorf("%w: frame at %d: expected a stated content size of at most %d bytes", ErrNoIndex, s.n, maxPiece)
	}
	for last := false; !last; {
		b, err := s.src.Peek(3)
		if err != nil {
			return 0, noEOF(err)
		}
		header := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
		last = header&1 != 0
		n := header >> 3
		const repeatedByte = 1
		if header>>1&3 == repeatedByte {
			n = 1
		}
		if err := s.skip(3 + n); err != nil {
			return 0, err
		}
	}
	if h.HasCheckSum {
		err = s.skip(4)
	} else {
		err = nil
	}
	return int64(h.FrameContentSize), err
}

func (s *zstdScan) skip(n int64) error {
	for n > 0 {
		k, err := s.src.Discard(int(min(n, maxPiece)))
		s.n += int64(k)
		if err != nil {
			return noEOF(err)
		}
		n -= int64(k)
	}
	return nil
}
