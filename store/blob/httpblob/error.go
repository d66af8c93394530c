package httpblob

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"example.com/nixs3/store/blob"
)

func (b *Bucket) error(op, key string, err error) error {
	// The text of *url.Error repeats the address, which may be a presigned one.
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &blob.Error{Op: op, Bucket: b.String(), Key: key, Endpoint: b.base.Host, Err: err}
}

// statusError makes the error for an answer that is not a success.
func (b *Bucket) statusError(op, key string, resp *http.Response) error {
	e := &blob.Error{
		Op: op, Bucket: b.String(), Key: key,
		Endpoint: resp.Request.URL.Host,
		Status:   resp.StatusCode,
		Err:      sentinel(op, resp.StatusCode),
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized && resp.Request.Header.Get("Authorization") == "":
		e.Hint = "give a login in the URL or in a netrc file"
	case resp.StatusCode == http.StatusMethodNotAllowed || resp.StatusCode == http.StatusNotImplemented:
		e.Hint = "the server has to allow " + strings.ToUpper(op)
	}
	return e
}

// sentinel maps the status of an answer.
func sentinel(op string, status int) error {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return blob.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return blob.ErrAccessDenied
	case http.StatusPreconditionFailed:
		return blob.ErrPrecondition
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return blob.ErrThrottled
	case http.StatusRequestEntityTooLarge:
		return blob.ErrTooLarge
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		if op == "Put" || op == "Delete" {
			return blob.ErrReadOnly
		}
	}
	return fmt.Errorf("unexpected answer %d %s", status, http.StatusText(status))
}
