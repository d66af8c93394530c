package otelblob

import (
	"context"
	"errors"
	"io"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

var classOther = layout.Other.String()

// class returns the kind of object that keys, or a prefix of keys, name in a
// binary cache.
func class(keys ...string) string {
	all := classOther
	for i, key := range keys {
		c := classOf(key)
		if i > 0 && c != all {
			return "mixed"
		}
		all = c
	}
	return all
}

func classOf(key string) string {
	if key == "" {
		return "all"
	}
	if kind := layout.KindOf(key); kind != layout.Other {
		return kind.String()
	}
	return layout.KindOfPrefix(key).String()
}

var errorClasses = []struct {
	err   error
	class string
}{
	{blob.ErrNotFound, "not_found"},
	{blob.ErrPrecondition, "precondition"},
	{blob.ErrAccessDenied, "access_denied"},
	{blob.ErrNoSuchBucket, "no_such_bucket"},
	{blob.ErrNoCredentials, "no_credentials"},
	{blob.ErrRegion, "region"},
	{blob.ErrThrottled, "throttled"},
	{blob.ErrChecksum, "checksum"},
	{blob.ErrTooLarge, "too_large"},
	{blob.ErrReadOnly, "read_only"},
	{blob.ErrInvalidKey, "invalid_key"},
	{errors.ErrUnsupported, "unsupported"},
	{io.ErrUnexpectedEOF, "truncated"},
	{context.DeadlineExceeded, "timeout"},
	{context.Canceled, "canceled"},
}

// errorClass returns the value of error.type, "" if err is nil. After the context
// is cancelled, the class is that of the cancellation, whatever its cause.
func errorClass(ctx context.Context, err error) string {
	if err == nil {
		return ""
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		err = ctx.Err()
	}
	for _, c := range errorClasses {
		if errors.Is(err, c.err) {
			return c.class
		}
	}
	return "_OTHER"
}

// isAnswer reports whether a sound bucket fails in this way in normal use.
func isAnswer(class string) bool { return class == "not_found" || class == "precondition" }
