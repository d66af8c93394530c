package codec

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"github.com/pierrec/lz4/v4"
)

// lz4Frame is the input of one frame of a parallel writer's output.
const lz4Frame = 4 << 20

func lz4Codec() Codec {
	return Codec{
		Name:      "lz4",
		Detect:    detectLZ4,
		NewReader: newLZ4Reader,
		NewWriter: newLZ4Writer,
	}
}

// detectLZ4 recognises frames of the current and of the legacy format.
func detectLZ4(prefix []byte) bool {
	if len(prefix) < 4 {
		return false
	}
	magic := binary.LittleEndian.Uint32(prefix)
	return magic == 0x184d2204 || magic == 0x184c2102
}

// newLZ4Reader takes a new decoder every time: a used one keeps the end of the
// last stream, to which a broken stream could refer. The buffers are reused.
func newLZ4Reader(r io.Reader, _ ReaderOptions) (io.ReadCloser, error) {
	t := &tap{src: bufio.NewReader(r)} // of r itself where it is buffered
	d := lz4.NewReader(t)
	frames := pooled{d, func() { d.Reset(nil) }}
	return zeroTail{frames, t.src, func(err error) bool {
		return err == io.EOF || errors.Is(err, lz4.ErrInvalidFrame) && t.zeros(4)
	}}, nil
}

// lz4Levels are the settings of the levels from 1; 1 and 2 are the fast
// method, as in the lz4 command.
var lz4Levels = [...]lz4.CompressionLevel{1: lz4.Fast, lz4.Fast, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}

func newLZ4Writer(w io.Writer, o WriterOptions) (io.WriteCloser, error) {
	level, err := o.level(1, 1, len(lz4Levels)-1)
	if err != nil {
		return nil, err
	}
	open := func(w io.Writer, _ int) (io.WriteCloser, error) {
		enc := lz4.NewWriter(w)
		return enc, enc.Apply(lz4.CompressionLevelOption(lz4Levels[level]), lz4.BlockSizeOption(lz4.Block1Mb))
	}
	if !o.Parallel {
		return open(w, 0)
	}
	return newFrameWriter(w, o, frameFormat{size: lz4Frame, encode: encodeStream(open)}), nil
}
