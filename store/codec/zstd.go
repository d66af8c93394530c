package codec

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"example.com/nixs3/store/codec/internal/linked"
)

// zstdFrame is the input size of one frame: large enough that the output is less
// than 1 % larger than with a single frame, small enough to keep many in memory.
const zstdFrame = 4 << 20

// The levels of libzstd; Nix accepts all of them.
const (
	zstdLowest  = -(1 << 17)
	zstdDefault = 3
	zstdHighest = 22
)

func zstdCodec() Codec {
	return Codec{
		Name:      "zstd",
		Detect:    detectZstd,
		NewReader: newZstdReader,
		NewWriter: newZstdWriter,
	}
}

// detectZstd recognises frames and skippable frames, which may come first.
func detectZstd(prefix []byte) bool {
	if len(prefix) < 4 {
		return false
	}
	magic := binary.LittleEndian.Uint32(prefix)
	return magic == 0xfd2fb528 || magic&^0xf == 0x184d2a50
}

// zstdDecoders work in the goroutine that reads, so they need no Close.
var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeBuffersBelow(0))
	if err != nil {
		panic(err) // the options are constant
	}
	return d
}}

func newZstdReader(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	if src, ok := r.(*bufio.Reader); ok && o.Parallel && cap(encodeSlots) > 1 {
		return &zstdAhead{src: src, options: o}, nil
	}
	return newZstdStream(r, o)
}

func newZstdStream(r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	window := uint64(max(o.maxMemory(), zstd.MinWindowSize))
	d := zstdDecoders.Get().(*zstd.Decoder)
	if err := d.ResetWithOptions(r, zstd.WithDecoderMaxWindow(window), zstd.IgnoreChecksum(o.IgnoreChecksums)); err != nil {
		return nil, err
	}
	release := func() {
		if d.Reset(nil) == nil {
			zstdDecoders.Put(d)
		}
	}
	return pooled{zstdReader{d, window}, release}, nil
}

type zstdReader struct {
	d      *zstd.Decoder
	window uint64
}

func (z zstdReader) Read(p []byte) (int, error) {
	n, err := z.d.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = fmt.Errorf("%w: expected a window of at most %d bytes, got a larger one", ErrMemory, z.window)
	}
	return n, err
}

// zstdSpeed returns the setting of the encoder whose output size is closest to a
// level of libzstd.
func zstdSpeed(level int) zstd.EncoderLevel {
	switch {
	case level < 3:
		return zstd.SpeedFastest
	case level < 6:
		return zstd.SpeedDefault
	case level < 10:
		return zstd.SpeedBetterCompression
	default:
		return zstd.SpeedBestCompression
	}
}

// zstdEncoders holds the encoders of each speed. An encoder is in use only while
// it compresses a frame, and encodeSlots bounds these frames.
var zstdEncoders [zstd.SpeedBestCompression + 1]sync.Pool

func newZstdWriter(w io.Writer, o WriterOptions) (io.WriteCloser, error) {
	level, err := o.level(zstdDefault, zstdLowest, zstdHighest)
	if err != nil {
		return nil, err
	}
	encode := func(dst, src []byte, _ *atomic.Bool) ([]byte, error) {
		if linked.ZstdEncode != nil {
			return linked.ZstdEncode(dst, src, level)
		}
		return encodeZstd(dst, src, zstdSpeed(level))
	}
	return newFrameWriter(w, o, frameFormat{size: zstdFrame, index: appendSeekTable, encode: encode}), nil
}

func encodeZstd(dst, src []byte, speed zstd.EncoderLevel) ([]byte, error) {
	enc, ok := zstdEncoders[speed].Get().(*zstd.Encoder)
	if !ok {
		var err error
		if enc, err = newZstdEncoder(speed); err != nil {
			return nil, err
		}
	}
	defer zstdEncoders[speed].Put(enc)
	return enc.EncodeAll(src, dst), nil
}

func newZstdEncoder(speed zstd.EncoderLevel) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderLevel(speed),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(zstdFrame),
		zstd.WithLowerEncoderMem(true), // no slower here: a frame is no larger than the window
		zstd.WithSingleSegment(true),   // states the content size of the smallest frame too
		zstd.WithZeroFrames(true))
}
