package httpblob

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/wire"
)

// expectAbove is the size above which a PUT asks first.
const expectAbove = 1 << 20

// Put stores an object with PUT. It does not send the digest of the options, for
// which HTTP has no header that servers check. A conditional Put whose answer was
// lost is repeated like any other, and may then fail with ErrPrecondition because
// of the object that it stored itself.
func (b *Bucket) Put(ctx context.Context, key string, content blob.Content, opts blob.PutOptions) (blob.Attrs, error) {
	u, err := b.objectURL(key)
	if err != nil {
		return blob.Attrs{}, b.error("Put", key, err)
	}
	header := make(http.Header)
	for name, value := range map[string]string{
		"Content-Type":     cmp.Or(opts.ContentType, "application/octet-stream"),
		"Content-Encoding": opts.ContentEncoding,
		"Cache-Control":    opts.CacheControl,
		"If-Match":         opts.IfMatch,
	} {
		if value != "" {
			header.Set(name, value)
		}
	}
	if opts.IfNoneMatch {
		header.Set("If-None-Match", "*")
	}
	resp, err := b.do(ctx, request{op: "Put", method: http.MethodPut, url: u, key: key, header: header, content: content})
	if err != nil {
		return blob.Attrs{}, err
	}
	defer wire.Drain(resp.Body)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		return blob.Attrs{
			Key: key, Size: content.Size(), ETag: resp.Header.Get("ETag"),
			ContentType: opts.ContentType, ContentEncoding: opts.ContentEncoding,
		}, nil
	}
	return blob.Attrs{}, b.statusError("Put", key, resp)
}

// contentError is a failure of the content, not of the network.
type contentError struct{ err error }

func (e *contentError) Error() string { return "content cannot be read: " + e.err.Error() }
func (e *contentError) Unwrap() error { return e.err }

// sentBody is the content of a PUT, which the transport may open several times.
// It remembers whether the content itself failed.
type sentBody struct {
	content blob.Content

	mu  sync.Mutex
	err error
}

func (s *sentBody) open() io.ReadCloser {
	return io.NopCloser(&contentReader{s: s, r: io.NewSectionReader(s.content, 0, s.content.Size())})
}

func (s *sentBody) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

type contentReader struct {
	s    *sentBody
	r    *io.SectionReader
	read int64
}

func (c *contentReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += int64(n)
	if err == io.EOF && c.read < c.r.Size() {
		err = fmt.Errorf("it ends after %d of %d bytes: %w", c.read, c.r.Size(), io.ErrUnexpectedEOF)
	}
	if err != nil && err != io.EOF {
		err = &contentError{err}
		c.s.mu.Lock()
		c.s.err = err
		c.s.mu.Unlock()
	}
	return n, err
}

// isPermanent reports whether a failure would happen again with each attempt:
// those of certificates, redirects and addresses.
func isPermanent(err error) bool {
	var (
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		redirect *redirectError
	)
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) ||
		errors.As(err, &verify) || errors.As(err, &redirect)
}
