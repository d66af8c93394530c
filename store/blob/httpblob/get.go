package httpblob

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/resume"
	"example.com/nixs3/store/blob/internal/wire"
)

// attrs reads the attributes of an object from an answer that has it whole.
func attrs(key string, resp *http.Response) blob.Attrs {
	modified, _ := http.ParseTime(resp.Header.Get("Last-Modified")) // zero where it is not known
	return blob.Attrs{
		Key:             key,
		Size:            resp.ContentLength,
		ETag:            resp.Header.Get("ETag"),
		ModTime:         modified,
		ContentType:     resp.Header.Get("Content-Type"),
		ContentEncoding: strings.Join(resp.Header.Values("Content-Encoding"), ", "),
	}
}

// get opens a part of the object at an address; key names it in errors.
func (b *Bucket) get(ctx context.Context, u *url.URL, key string, opts blob.GetOptions) (*blob.Object, error) {
	return resume.Open(ctx, opts, resume.Config{
		Retry: b.opts.Retry,
		Fetch: func(ctx context.Context, opts blob.GetOptions) (*blob.Object, error) {
			return b.fetch(ctx, u, key, opts)
		},
		Fail: func(err error) error {
			if _, ok := errors.AsType[*blob.Error](err); ok {
				return err
			}
			return b.error("Get", key, err)
		},
		Resuming: func(offset int64, reason error) {
			b.opts.Logger.WarnContext(ctx, "a download broke off and is resumed",
				"bucket", b.String(), "key", key, "offset", offset, "reason", reason)
		},
	})
}

// fetch asks for a part of an object once, with retries.
func (b *Bucket) fetch(ctx context.Context, u *url.URL, key string, opts blob.GetOptions) (*blob.Object, error) {
	header := make(http.Header)
	if asked := resume.RangeHeader(opts.Offset, opts.Length); asked != "" {
		header.Set("Range", asked)
	}
	if opts.IfMatch != "" {
		header.Set("If-Match", opts.IfMatch)
	}
	resp, err := b.do(ctx, request{op: "Get", method: http.MethodGet, url: u, key: key, header: header})
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
		obj := &blob.Object{Attrs: attrs(key, resp), Body: resp.Body}
		if err := resume.Place(obj, resp.StatusCode, resp.Header.Get("Content-Range"), resp.ContentLength, opts); err != nil {
			resp.Body.Close()
			return nil, b.error("Get", key, err)
		}
		return obj, nil
	}
	refused := b.statusError("Get", key, resp)
	wire.Drain(resp.Body)
	if resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		return nil, refused
	}
	a, err := b.head(ctx, u, key)
	if err != nil {
		return nil, err
	}
	if a.Size < 0 || a.Size > opts.Offset {
		return nil, refused
	}
	return &blob.Object{Attrs: a, Offset: a.Size, Body: http.NoBody}, nil
}
