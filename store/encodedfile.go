package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
)

// encodedFile is an archive whose object has a Content-Encoding. Writers disagree
// on whether FileSize and FileHash are those of the archive or of the encoded
// object, so either will do.
type encodedFile struct {
	info   *narinfo.NarInfo
	r      io.ReadCloser
	body   io.Closer
	object *measured
	file   *measured
}

// openEncoded returns the archive in an encoded object.
func openEncoded(info *narinfo.NarInfo, obj *blob.Object) (io.ReadCloser, error) {
	raw := bufio.NewReaderSize(obj.Body, labelPrefix)
	if namesCompression(info, obj.ContentEncoding, raw) {
		return &struct {
			io.Reader
			io.Closer
		}{raw, obj.Body}, nil
	}
	limit := fileLimit(&narinfo.NarInfo{PathInfo: info.PathInfo})
	e := &encodedFile{info: info, body: obj.Body, object: newMeasured(info, raw, limit)}
	var err error
	if e.r, err = codec.NewContentReader(obj.ContentEncoding, e.object, codec.ReaderOptions{MaxSize: limit}); err != nil {
		return nil, &objectError{subject(info.Path, info.URL), err}
	}
	e.file = newMeasured(info, e.r, limit)
	return e, nil
}

// labelPrefix is how much of an object shows which encodings it has: one block
// of every codec fits.
const labelPrefix = 256 << 10

// namesCompression reports whether a Content-Encoding names the compression of
// the archive, and not an encoding that was applied to the object: some tools
// derive it from the extension of the key. Decoding then gives the NAR itself.
func namesCompression(info *narinfo.NarInfo, encoding string, raw *bufio.Reader) bool {
	if info.Compression == codec.None {
		return false
	}
	prefix, _ := raw.Peek(labelPrefix) // a shorter one may do, and an error returns
	r, err := codec.NewContentReader(encoding, bytes.NewReader(prefix), codec.ReaderOptions{})
	if err != nil {
		return false
	}
	defer r.Close()
	head := make([]byte, codec.DetectLen)
	_, err = io.ReadFull(r, head)
	return err == nil && codec.Detect(head) == codec.None
}

func (e *encodedFile) Read(p []byte) (int, error) {
	n, err := e.file.Read(p)
	if err == io.EOF {
		if _, derr := io.Copy(io.Discard, e.object); derr != nil {
			return n, derr
		}
		if e.object.check() != nil {
			if cerr := e.file.check(); cerr != nil {
				return n, cerr
			}
		}
	}
	return n, err
}

func (e *encodedFile) Close() error { return errors.Join(e.r.Close(), e.body.Close()) }

// fileClaims is info without the claims about an encoded object, whose reader
// verifies them itself.
func fileClaims(info *narinfo.NarInfo, file io.Reader) *narinfo.NarInfo {
	if t, ok := file.(*transferBody); ok {
		file = t.ReadCloser
	}
	if _, ok := file.(*encodedFile); !ok {
		return info
	}
	bare := *info
	bare.FileSize, bare.FileHash = 0, nixhash.Hash{}
	return &bare
}

// measured passes on bytes that a narinfo may describe, up to a limit.
type measured struct {
	info  *narinfo.NarInfo
	r     io.Reader
	limit int64
	h     hash.Hash
	n     int64
}

func newMeasured(info *narinfo.NarInfo, r io.Reader, limit int64) *measured {
	return &measured{info: info, r: r, limit: limit, h: sha256.New()}
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	m.h.Write(p[:n])
	if m.n > m.limit {
		return n, m.sizeError(m.limit)
	}
	return n, err
}

// check compares the bytes with FileSize and FileHash.
func (m *measured) check() error {
	if m.info.FileSize > 0 && m.n != m.info.FileSize {
		return m.sizeError(m.info.FileSize)
	}
	if claim := m.info.FileHash; claim.Algorithm() == nixhash.SHA256 {
		if got := sha256Hash(m.h); got != claim {
			return &HashMismatchError{Path: m.info.Path, Key: m.info.URL, Field: "FileHash", Wanted: claim, Got: got}
		}
	}
	return nil
}

func (m *measured) sizeError(wanted int64) error {
	return &SizeMismatchError{Path: m.info.Path, Key: m.info.URL, Field: "FileSize", Wanted: wanted, Got: m.n}
}
