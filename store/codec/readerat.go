package codec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"example.com/nixs3/store/codec/internal/xz"
)

// coalesced bounds the bytes of one request of a ReaderAt.
const coalesced = 8 << 20

// ReaderAt decodes parts of compressed data. It is safe for concurrent use, and
// decodes one piece at a time. It keeps the last decoded piece, so that reading
// in order costs one request per piece.
type ReaderAt struct {
	index *Index
	data  io.ReaderAt

	mu    sync.Mutex
	piece int    // number of the piece in last
	last  []byte // the last decoded contents
	ahead []byte // compressed data, from offset at
	at    int64
}

// NewReaderAt returns a reader of the decoded contents of data. Reading fails for
// a piece whose size differs from the index or whose own checksum does not match;
// the contents are not verified otherwise.
func (x *Index) NewReaderAt(data io.ReaderAt) *ReaderAt {
	return &ReaderAt{index: x, data: data, piece: -1}
}

// ReadAt reads decoded contents; see [io.ReaderAt].
func (r *ReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("codec: ReadAt with a negative offset")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for i := r.index.find(off); n < len(p); i++ {
		if i == len(r.index.pieces) {
			return n, io.EOF
		}
		contents, err := r.contents(i, off+int64(len(p)))
		if err != nil {
			return n, fmt.Errorf("%s: piece %d: %w", r.index.codec, i, err)
		}
		n += copy(p[n:], contents[off+int64(n)-r.index.pieces[i].start:])
	}
	return n, nil
}

// contents returns the decoded piece i. The caller stops reading at end: one
// request fetches the data up to there.
func (r *ReaderAt) contents(i int, end int64) ([]byte, error) {
	if r.piece == i {
		return r.last, nil
	}
	p := r.index.pieces[i]
	if p.offset < r.at || p.offset+p.n > r.at+int64(len(r.ahead)) {
		to := p.offset + p.n
		for _, next := range r.index.pieces[i+1:] {
			if next.start >= end || next.offset+next.n-p.offset > coalesced {
				break
			}
			to = next.offset + next.n
		}
		r.ahead = grow(r.ahead, int(to-p.offset))
		r.at = p.offset
		if n, err := r.data.ReadAt(r.ahead, p.offset); n < len(r.ahead) {
			r.ahead = r.ahead[:0]
			return nil, noEOF(err)
		}
	}
	r.piece = -1
	src := r.ahead[p.offset-r.at:][:p.n]
	contents, err := r.index.decode(grow(r.last, int(p.size))[:0], src, p)
	if err != nil {
		return nil, err
	}
	if int64(len(contents)) != p.size {
		return nil, fmt.Errorf("expected %d bytes, got %d", p.size, len(contents))
	}
	r.piece, r.last = i, contents
	return contents, nil
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// pieceDecoder checks frames; its window is bounded by the size of a piece.
var pieceDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxPiece), zstd.WithDecoderMaxMemory(maxPiece))
	if err != nil {
		panic(err) // the options are constant
	}
	return d
})

func (x *Index) decode(dst, src []byte, p piece) (contents []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			contents, err = nil, fmt.Errorf("decoder failed: %v", v)
		}
	}()
	if x.codec == "zstd" {
		var h zstd.Header
		if err := h.Decode(src); err != nil {
			return nil, err
		}
		if h.HasFCS && int64(h.FrameContentSize) != p.size {
			return nil, fmt.Errorf("expected a frame of %d bytes, got one of %d", p.size, h.FrameContentSize)
		}
		return pieceDecoder().DecodeAll(src, dst)
	}
	var d xz.Reader
	if err := d.ResetBlock(bufio.NewReader(bytes.NewReader(src)), p.check, defaultMaxMemory); err != nil {
		return nil, err
	}
	buf := bytes.NewBuffer(dst)
	_, err = io.Copy(buf, io.LimitReader(&d, p.size+1))
	return buf.Bytes(), err
}
