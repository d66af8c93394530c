package fakes3

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxChunk bounds a chunk, since a signed one is held until it is verified.
const maxChunk = 64 << 20

// readChunked reads an aws-chunked body and verifies the signatures of its
// chunks and trailer, if it has them.
func readChunked(r *http.Request, g *signature) ([]byte, http.Header, *apiError) {
	mode := r.Header.Get("X-Amz-Content-Sha256")
	signed := strings.HasPrefix(mode, "STREAMING-"+algorithm)
	trailing := strings.HasSuffix(mode, "-TRAILER")
	if !signed && mode != "STREAMING-UNSIGNED-PAYLOAD-TRAILER" || signed && g == nil {
		return nil, nil, newError(http.StatusBadRequest, "InvalidRequest", "x-amz-content-sha256 is not a known way of streaming")
	}
	size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || size < 0 || size > maxBody {
		return nil, nil, newError(http.StatusLengthRequired, "MissingContentLength", "You must provide the x-amz-decoded-content-length header.")
	}
	c := &chunkReader{r: bufio.NewReader(r.Body), previous: ""}
	if signed {
		c.signature, c.previous = g, g.value
	}
	data, err := c.data(size)
	if err != nil {
		return nil, nil, c.fail(err)
	}
	trailer := http.Header{}
	if trailing {
		if trailer, err = c.trailer(r.Header.Values("X-Amz-Trailer")); err != nil {
			return nil, nil, c.fail(err)
		}
	}
	removeChunked(r.Header)
	return data, trailer, nil
}

// removeChunked removes aws-chunked from Content-Encoding: the stored object does
// not have it.
func removeChunked(h http.Header) {
	var codings []string
	for c := range strings.SplitSeq(h.Get("Content-Encoding"), ",") {
		if c = strings.TrimSpace(c); c != "" && c != "aws-chunked" {
			codings = append(codings, c)
		}
	}
	if len(codings) == 0 {
		h.Del("Content-Encoding")
	} else {
		h.Set("Content-Encoding", strings.Join(codings, ","))
	}
	h.Del("X-Amz-Content-Sha256") // gofakes3 would decode once more
}

// chunkReader reads aws-chunked.
type chunkReader struct {
	r         *bufio.Reader
	signature *signature // nil if chunks are not signed
	previous  string     // signature in the chain
}

var (
	errChunk          = errors.New("the chunks are malformed")
	errChunkSignature = errors.New("the signature of a chunk does not match")
)

func (c *chunkReader) fail(err error) *apiError {
	if errors.Is(err, errChunkSignature) {
		return newError(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided: "+err.Error())
	}
	return incompleteBody(err)
}

// data reads all chunks, which must hold size bytes.
func (c *chunkReader) data(size int64) ([]byte, error) {
	var data bytes.Buffer
	for {
		n, sig, err := c.header()
		if err != nil {
			return nil, err
		}
		chunk, err := readN(c.r, n)
		if err != nil {
			return nil, err
		}
		if err := c.verify(algorithm+"-PAYLOAD", sig, hexSHA256(nil)+"\n", chunk); err != nil {
			return nil, err
		}
		data.Write(chunk)
		if int64(data.Len()) > size {
			return nil, fmt.Errorf("%w: more than the %d bytes announced", errChunk, size)
		}
		if n == 0 {
			break // the end of the last chunk belongs to the trailer
		}
		if line, err := c.line(); err != nil || line != "" {
			return nil, errors.Join(errChunk, err)
		}
	}
	if int64(data.Len()) != size {
		return nil, fmt.Errorf("%w: %d bytes of the %d announced", errChunk, data.Len(), size)
	}
	return data.Bytes(), nil
}

// header reads "<hex size>[;chunk-signature=<hex>]".
func (c *chunkReader) header() (size int64, sig string, err error) {
	line, err := c.line()
	if err != nil {
		return 0, "", err
	}
	digits, extension, _ := strings.Cut(line, ";")
	size, err = strconv.ParseInt(digits, 16, 64)
	if err != nil || size < 0 || size > maxChunk {
		return 0, "", fmt.Errorf("%w: expected the size of a chunk, got %q", errChunk, digits)
	}
	return size, strings.TrimPrefix(extension, "chunk-signature="), nil
}

// line reads a line without its end. A line is short.
func (c *chunkReader) line() (string, error) {
	line, err := c.r.ReadSlice('\n')
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// verify checks the next signature of the chain.
func (c *chunkReader) verify(kind, got, prefix string, data []byte) error {
	if c.signature == nil {
		return nil
	}
	want := hex.EncodeToString(hmacSHA256(c.signature.key, kind+"\n"+c.signature.time.Format(dateFormat)+"\n"+
		c.signature.scope()+"\n"+c.previous+"\n"+prefix+hexSHA256(data)))
	if !hmac.Equal([]byte(want), []byte(got)) {
		return errChunkSignature
	}
	c.previous = want
	return nil
}

// trailer reads the headers after the last chunk: the announced ones and the
// signature.
func (c *chunkReader) trailer(announced []string) (http.Header, error) {
	trailer := http.Header{}
	var signed strings.Builder
	for {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok {
			return nil, fmt.Errorf("%w: expected a header, got %q", errChunk, line)
		}
		if name == "x-amz-trailer-signature" {
			if err := c.verify(algorithm+"-TRAILER", value, "", []byte(signed.String())); err != nil {
				return nil, err
			}
			return trailer, nil
		}
		if !slices.ContainsFunc(announced, func(a string) bool { return strings.EqualFold(a, name) }) {
			return nil, fmt.Errorf("%w: the trailer %q was not announced", errChunk, name)
		}
		signed.WriteString(name + ":" + value + "\n")
		trailer.Set(name, value)
	}
	if c.signature != nil {
		return nil, fmt.Errorf("%w: the trailer is not signed", errChunkSignature)
	}
	if len(trailer) != len(announced) {
		return nil, fmt.Errorf("%w: %d of the %d announced trailers", errChunk, len(trailer), len(announced))
	}
	return trailer, nil
}
