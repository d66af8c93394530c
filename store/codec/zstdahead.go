package codec

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"example.com/nixs3/store/codec/internal/linked"
)

// framesAhead is the number of frames that a parallel zstd reader decodes beside
// the current one. More would gain little: two cores decode faster than one core
// can hash.
const framesAhead = 2

// zstdAhead decodes small frames that state their content size, as newZstdWriter
// and newer Nix write them, each in its own goroutine. The first frame of another
// kind, or with an invalid header, is decoded as a stream with all that follows.
type zstdAhead struct {
	src     *bufio.Reader
	options ReaderOptions

	pending []chan frame  // the oldest first
	cur     []byte        // the frame that is being read
	rest    []byte        // its unread bytes
	begun   []byte        // what was read of the first frame that is not in pending
	stream  io.ReadCloser // read once pending is empty
	any     bool          // a frame was added to pending
	ended   bool          // no more frames are added
}

// frameDecoder decodes whole frames for all readers. Its decoders keep their
// memory, so it has only a few.
var frameDecoder = sync.OnceValue(func() *zstd.Decoder {
	decoders := min(cap(encodeSlots), 2*framesAhead)
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(decoders), zstd.WithDecoderMaxWindow(zstdFrame))
	if err != nil {
		panic(err) // the options are constant
	}
	return d
})

func (z *zstdAhead) Read(p []byte) (int, error) {
	for len(z.rest) == 0 {
		if z.stream != nil {
			return z.stream.Read(p)
		}
		putBuffer(z.cur)
		z.cur = nil
		if err := z.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}

// advance makes the oldest frame the current one, or begins the stream. It
// reads on while no frame is ready, a whole frame at a time.
func (z *zstdAhead) advance() error {
	for !z.ended && len(z.pending) < framesAhead {
		if len(z.pending) > 0 {
			select {
			case oldest := <-z.pending[0]:
				return z.use(oldest)
			default:
			}
		}
		z.begin()
	}
	if len(z.pending) > 0 {
		return z.use(<-z.pending[0])
	}
	return z.streamRest()
}

func (z *zstdAhead) use(oldest frame) error {
	z.pending = z.pending[1:]
	z.cur, z.rest = oldest.data, oldest.data
	return oldest.err
}

// begin reads a frame and starts to decode it.
func (z *zstdAhead) begin() {
	src, size, ok := z.next()
	if !ok {
		z.begun, z.ended = src, true
		return
	}
	done := make(chan frame, 1)
	z.pending, z.any = append(z.pending, done), true
	go func() {
		data, err := decodeFrame(src, size)
		putBuffer(src)
		done <- frame{data, len(data), err}
	}()
}

func decodeFrame(src []byte, size int) (data []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			data, err = nil, fmt.Errorf("decoder failed: %v", v)
		}
	}()
	if linked.ZstdDecode != nil {
		return linked.ZstdDecode(getBuffer(size+1), src, size)
	}
	return frameDecoder().DecodeAll(src, getBuffer(size))
}

// next reads a frame and returns the size of its content. It returns false, and
// the bytes read, if the frame cannot be decoded independently.
func (z *zstdAhead) next() (src []byte, size int, ok bool) {
	head, _ := z.src.Peek(zstd.HeaderMaxSize) // the stream meets a short read or error again
	var h zstd.Header
	if h.Decode(head) != nil || h.Skippable || h.DictionaryID != 0 || !h.HasFCS ||
		h.FrameContentSize > zstdFrame || h.WindowSize > zstdFrame {
		return nil, 0, false
	}
	size = int(h.FrameContentSize)
	if z.options.MaxSize > 0 && int64(size) > z.options.MaxSize {
		return nil, 0, false // the header lies
	}
	src = getBuffer(size) // this package writes no frame larger than its content
	take := func(n int) bool {
		if len(src)+n > cap(src) {
			return false
		}
		k, err := io.ReadFull(z.src, src[len(src):len(src)+n])
		src = src[:len(src)+k]
		return err == nil
	}
	if !take(h.HeaderSize) {
		return src, 0, false
	}
	for last := false; !last; {
		if !take(3) {
			return src, 0, false
		}
		b := src[len(src)-3:]
		header := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		last = header&1 != 0
		n := header >> 3
		const repeatedByte = 1
		if header>>1&3 == repeatedByte {
			n = 1
		}
		if !take(n) {
			return src, 0, false
		}
	}
	if h.HasCheckSum {
		if !take(4) {
			return src, 0, false
		}
		if z.options.IgnoreChecksums {
			src = src[:len(src)-4]
			src[4] &^= 1 << 2 // the header no longer says that there is one
		}
	}
	if !z.any && size <= smallBuffer {
		// A goroutine for a single small frame costs more than it gains.
		if _, err := z.src.Peek(1); err != nil {
			return src, 0, false
		}
	}
	return src, size, true
}

// streamRest begins the stream after the frames, unless nothing follows them.
func (z *zstdAhead) streamRest() error {
	if len(z.begun) == 0 {
		if _, err := z.src.Peek(1); err != nil {
			return err
		}
	}
	var err error
	z.stream, err = newZstdStream(io.MultiReader(bytes.NewReader(z.begun), z.src), z.options)
	return err
}

// Close waits for the frames that are being decoded.
func (z *zstdAhead) Close() error {
	for _, done := range z.pending {
		putBuffer((<-done).data)
	}
	putBuffer(z.cur)
	if z.stream == nil {
		return nil
	}
	return z.stream.Close()
}
