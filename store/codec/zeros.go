package codec

import (
	"bufio"
	"bytes"
	"io"
)

// Nix reads archives with libarchive, which accepts zero bytes after the end of
// br, bzip2, gzip, lz4, lzip and lzma streams, in any number, and after xz
// streams in multiples of four. It refuses them after zstd. Some uploaders pad
// archives with zeros, and this package reads them too. It refuses two ends that
// cannot be distinguished from a truncated stream: one zero byte after bzip2, and
// fewer than four after lz4.

// zeroTail is a decoder of a format whose streams may be followed by zeros.
type zeroTail struct {
	io.ReadCloser
	src *bufio.Reader

	// ended reports whether an error of the decoder means that the stream was
	// complete and that the decoder read, at most, zeros after it.
	ended func(err error) bool
}

func (z zeroTail) Read(p []byte) (int, error) {
	n, err := z.ReadCloser.Read(p)
	if err != nil && z.ended(err) {
		err = skipZeros(z.src)
	}
	return n, err
}

func atEOF(err error) bool { return err == io.EOF }

// skipZeros consumes the zeros that the source continues with. It returns
// io.EOF, whether or not anything follows the zeros.
func skipZeros(src *bufio.Reader) error {
	for {
		if _, err := src.Peek(1); err != nil {
			return io.EOF // the source returns an error again
		}
		ahead, _ := src.Peek(src.Buffered())
		zeros := len(ahead) - len(bytes.TrimLeft(ahead, "\x00"))
		src.Discard(zeros)
		if zeros < len(ahead) {
			return io.EOF
		}
	}
}

// tap remembers the last bytes that a decoder has taken from the source, for
// decoders that read the bytes after a stream before they refuse them.
type tap struct {
	src  *bufio.Reader
	last [4]byte
}

func (t *tap) ReadByte() (byte, error) {
	b, err := t.src.ReadByte()
	if err == nil {
		t.last = [4]byte{t.last[1], t.last[2], t.last[3], b}
	}
	return b, err
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.src.Read(p)
	recent := append(t.last[:len(t.last):len(t.last)], p[max(0, n-len(t.last)):n]...)
	copy(t.last[:], recent[len(recent)-len(t.last):])
	return n, err
}

// zeros reports whether the last n bytes were zero.
func (t *tap) zeros(n int) bool {
	return len(bytes.Trim(t.last[len(t.last)-n:], "\x00")) == 0
}

// The texts of errors that have no exported value. TestZeroTail fails if a
// library changes them.
const (
	bzip2NoStream  = "bzip2 data invalid: bad magic value in continuation file"
	brotliTrailing = "brotli: excessive input"
)
