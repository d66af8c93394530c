package codec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
)

// ContentEncoding returns the HTTP header Content-Encoding of an object that is
// compressed with the named codec: the name itself, as in Nix, and the empty
// string, which means no header, for [None].
func ContentEncoding(name string) string {
	if name == None {
		return ""
	}
	return name
}

// HasEncoding reports whether a Content-Encoding names an encoding, even an
// unknown one.
func HasEncoding(value string) bool {
	names, err := ContentEncodings(value)
	return len(names) > 0 || err != nil
}

// maxEncodings bounds the encodings of one object.
const maxEncodings = 8

// ContentEncodings returns the encodings that a Content-Encoding names, in the
// order in which they were applied: none, one, or several. It accepts the names
// that HTTP defines (RFC 9110, section 8.4), in any case and with the prefix
// "x-", and those of all codecs. It ignores "identity" and "aws-chunked", which
// some servers keep from the upload. It fails for an unknown encoding and for
// more than eight.
func ContentEncodings(value string) ([]string, error) {
	var names []string
	for token := range strings.SplitSeq(value, ",") {
		token = strings.ToLower(strings.TrimSpace(token))
		if slices.Contains([]string{"", "identity", "aws-chunked", None}, token) {
			continue
		}
		if len(names) == maxEncodings {
			return nil, fmt.Errorf("Content-Encoding: expected at most %d encodings, got more", maxEncodings)
		}
		name := strings.TrimPrefix(token, "x-")
		if _, err := Lookup(name); err != nil && name != deflate {
			return nil, fmt.Errorf("Content-Encoding %q: %w", value, err)
		}
		names = append(names, name)
	}
	return names, nil
}

// NewContentReader returns a reader of the content of r, whose Content-Encoding
// is value: none, one, or several encodings in the order in which they were
// applied. As in [NewReaderDetect], the signature of the data takes precedence
// over the header. The options apply to each encoding except deflate; the caller
// bounds the content.
func NewContentReader(value string, r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	names, err := ContentEncodings(value)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		names = []string{None}
	}
	var c contentReader
	for _, name := range slices.Backward(names) {
		rc, err := newLayer(name, r, o)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Reader, r = rc, rc
		c.layers = append(c.layers, rc)
	}
	return &c, nil
}

// DecodeContent returns the content of data, whose Content-Encoding is value. It
// fails with [ErrTooLarge] for a content of more than limit bytes.
func DecodeContent(value string, data []byte, limit int64) ([]byte, error) {
	if value == "" && Detect(data) == "" {
		return data, nil
	}
	r, err := NewContentReader(value, bytes.NewReader(data), ReaderOptions{MaxSize: limit})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}

func newLayer(name string, r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	if name == deflate {
		return newDeflateReader(r)
	}
	rc, _, err := NewReaderDetect(name, r, o)
	return rc, err
}

// deflate is an encoding of HTTP that Nix does not use for archives.
const deflate = "deflate"

// newDeflateReader reads the zlib format, which HTTP specifies, and the bare
// deflate format, which some servers send.
func newDeflateReader(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReader(r)
	head, _ := br.Peek(2) // a failing reader fails again below
	if len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(br)
	}
	return flate.NewReader(br), nil
}

// contentReader reads through several decoders.
type contentReader struct {
	io.Reader
	layers []io.Closer
}

func (c *contentReader) Close() error {
	var errs []error
	for _, l := range slices.Backward(c.layers) {
		errs = append(errs, l.Close())
	}
	c.layers = nil
	return errors.Join(errs...)
}
