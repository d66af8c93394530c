package fakes3

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxBody is the largest body of a request, as on S3, in bytes.
const maxBody = 5 << 30

// readPayload reads the body of a request, decodes aws-chunked and verifies all
// digests. It leaves the plain body in r, with the headers that describe it.
func (s *Server) readPayload(r *http.Request, op string, g *signature) *apiError {
	if fail := s.refusePayload(r, op); fail != nil {
		return fail
	}
	if r.ContentLength < 0 {
		return newError(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	if r.ContentLength > maxBody {
		return newError(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	data, trailer, fail := readBody(r, g)
	if fail != nil {
		return fail
	}
	if fail := s.checkDigests(r.Header, trailer, data, op); fail != nil {
		return fail
	}
	for name, values := range trailer {
		r.Header[name] = values
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	r.ContentLength = int64(len(data))
	r.Header.Set("Content-Length", strconv.Itoa(len(data)))
	return nil
}

// refusePayload refuses what the options exclude.
func (s *Server) refusePayload(r *http.Request, op string) *apiError {
	if s.opts.NoChunked && (isChunked(r) || hasCoding(r.Header, "aws-chunked")) {
		return newError(http.StatusNotImplemented, "NotImplemented", "aws-chunked is not implemented: "+r.Header.Get("X-Amz-Content-Sha256"))
	}
	if !s.opts.NoChecksums || op == "DeleteObjects" {
		return nil
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if name == "x-amz-trailer" || name == "x-amz-sdk-checksum-algorithm" || strings.HasPrefix(name, "x-amz-checksum-") {
			return newError(http.StatusBadRequest, "InvalidArgument", "Unsupported header '"+name+"' received for this API call.")
		}
	}
	return nil
}

func isChunked(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-")
}

func hasCoding(h http.Header, coding string) bool {
	for c := range strings.SplitSeq(h.Get("Content-Encoding"), ",") {
		if strings.TrimSpace(c) == coding {
			return true
		}
	}
	return false
}

// readBody reads the plain body, and the trailer of a chunked body.
func readBody(r *http.Request, g *signature) ([]byte, http.Header, *apiError) {
	if isChunked(r) {
		return readChunked(r, g)
	}
	if hasCoding(r.Header, "aws-chunked") {
		return nil, nil, newError(http.StatusBadRequest, "InvalidRequest", "aws-chunked needs an x-amz-content-sha256 that begins with STREAMING-")
	}
	data, err := readN(r.Body, r.ContentLength)
	if err != nil {
		return nil, nil, incompleteBody(err)
	}
	if g != nil && g.pin != "" && g.pin != hexSHA256(data) {
		return nil, nil, newError(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' parameter does not match what was computed.")
	}
	if want := r.Header.Get("X-Amz-Content-Sha256"); want != "" && want != "UNSIGNED-PAYLOAD" && want != hexSHA256(data) {
		return nil, nil, newError(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	return data, nil, nil
}

// readN reads n bytes. It allocates as they arrive.
func readN(r io.Reader, n int64) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(min(n, 16<<20)))
	got, err := io.CopyN(&buf, r, n)
	if got < n && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return buf.Bytes(), err
}

func incompleteBody(err error) *apiError {
	return newError(http.StatusBadRequest, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header: "+err.Error())
}

// checkDigests verifies Content-MD5 and the checksums of header and trailer.
func (s *Server) checkDigests(header, trailer http.Header, data []byte, op string) *apiError {
	if op == "CreateMultipartUpload" {
		return nil // Nix sends the Content-MD5 of the object with the empty request, and servers accept it
	}
	checked := false
	if want := header.Get("Content-Md5"); want != "" {
		sum := md5.Sum(data)
		if fail := compareDigest("Content-MD5", want, sum[:]); fail != nil {
			return fail
		}
		checked = true
	}
	if op == "DeleteObjects" && s.opts.RequireContentMD5 && !checked {
		return newError(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: Content-MD5")
	}
	for name, newHash := range checksums {
		for _, h := range []http.Header{header, trailer} {
			want := h.Get(checksumPrefix + name)
			if want == "" {
				continue
			}
			checked = true
			if s.opts.IgnoreChecksums {
				continue
			}
			hash := newHash()
			hash.Write(data)
			if fail := compareDigest(name, want, hash.Sum(nil)); fail != nil {
				return fail
			}
		}
	}
	if op == "DeleteObjects" && !checked {
		return newError(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	return nil
}

func compareDigest(name, want string, got []byte) *apiError {
	digest, err := base64.StdEncoding.DecodeString(want)
	if err != nil || len(digest) != len(got) {
		return newError(http.StatusBadRequest, "InvalidDigest", "The "+name+" you specified was invalid.")
	}
	if !bytes.Equal(digest, got) {
		return newError(http.StatusBadRequest, "BadDigest", "The "+name+" you specified did not match the calculated checksum.")
	}
	return nil
}
