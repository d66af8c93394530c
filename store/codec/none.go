package codec

import (
	"bytes"
	"io"
)

// narMagic is the beginning of every NAR: the length of its first string and
// the string (Nix manual, "Nix Archive").
var narMagic = []byte("\x0d\x00\x00\x00\x00\x00\x00\x00nix-archive-1\x00\x00\x00")

func noneCodec() Codec {
	return Codec{
		Name:   None,
		Detect: hasMagic(narMagic),
		NewReader: func(r io.Reader, _ ReaderOptions) (io.ReadCloser, error) {
			return io.NopCloser(r), nil
		},
		NewWriter: func(w io.Writer, _ WriterOptions) (io.WriteCloser, error) {
			return nopCloser{w}, nil
		},
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func hasMagic(magic []byte) func([]byte) bool {
	return func(prefix []byte) bool { return bytes.HasPrefix(prefix, magic) }
}
