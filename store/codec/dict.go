package codec

import (
	"io"
	"math/bits"
)

// The levels of the xz, lzip and lzma writers are sizes of the dictionary. An
// encoder allocates about ten times that size, so the dictionary is not made
// larger than the input.

const (
	lzmaDefault = 6       // level
	lzmaFrame   = 8 << 20 // input of one frame of a parallel writer's output
)

// lzmaDict returns the dictionary size of a level, as the xz command has it.
func lzmaDict(level int) int {
	return [...]int{1: 1 << 20, 2 << 20, 4 << 20, 4 << 20, 8 << 20, 8 << 20, 16 << 20, 32 << 20, 64 << 20}[level]
}

// dictOpener opens an encoder with a dictionary of the given size.
type dictOpener func(w io.Writer, dict int) (io.WriteCloser, error)

func newDictWriter(w io.Writer, o WriterOptions, dict int, open dictOpener) (io.WriteCloser, error) {
	if !o.Parallel {
		return &dictWriter{w: w, dict: dict, open: open}, nil
	}
	return newFrameWriter(w, o, frameFormat{size: lzmaFrame, encode: encodeStream(func(w io.Writer, size int) (io.WriteCloser, error) {
		return open(w, fitDict(dict, size))
	})}), nil
}

// fitDict returns the smallest power of two that holds n bytes, between 4 KiB
// and dict.
func fitDict(dict, n int) int {
	return min(dict, max(4<<10, 1<<bits.Len(uint(max(n, 1)-1))))
}

// dictWriter holds back the first smallBuffer bytes of the input, to fit the
// dictionary to an input that is not larger.
type dictWriter struct {
	w    io.Writer
	dict int
	open dictOpener
	head []byte
	enc  io.WriteCloser // nil until the input exceeds head
}

func (d *dictWriter) Write(p []byte) (int, error) {
	if d.enc == nil {
		if len(d.head)+len(p) <= smallBuffer {
			if d.head == nil {
				d.head = getBuffer(smallBuffer)
			}
			d.head = append(d.head, p...)
			return len(p), nil
		}
		if err := d.begin(d.dict); err != nil {
			return 0, err
		}
	}
	return d.enc.Write(p)
}

// begin opens the encoder and writes the bytes held back.
func (d *dictWriter) begin(dict int) error {
	enc, err := d.open(d.w, dict)
	if err != nil {
		return err
	}
	d.enc = enc
	_, err = enc.Write(d.head)
	putBuffer(d.head)
	d.head = nil
	return err
}

func (d *dictWriter) Close() error {
	if d.enc == nil {
		if err := d.begin(fitDict(d.dict, len(d.head))); err != nil {
			return err
		}
	}
	return d.enc.Close()
}
