package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"example.com/nixs3/store/blob"
)

// Get opens an object or a part of it. The body resumes by itself where the
// connection breaks, as long as the object has not changed. A part that begins
// at or behind the end is empty.
func (b *Bucket) Get(ctx context.Context, key string, opts blob.GetOptions) (*blob.Object, error) {
	full, err := b.key(key)
	if err == nil && (opts.Offset < 0 || opts.Length < 0) {
		err = fmt.Errorf("offset %d, length %d: want neither below 0", opts.Offset, opts.Length)
	}
	if err != nil {
		return nil, b.fail(ctx, "Get", key, err)
	}
	g := &download{b: b, key: key, full: full}
	if opts.Length > math.MaxInt64-opts.Offset {
		opts.Length = 0 // to the end
	}
	if b.opts.Window > 1 && (opts.Length == 0 || opts.Length > b.opts.PartSize) {
		return g.parallel(ctx, opts)
	}
	return g.serial(ctx, opts)
}

// download is one call of Get.
type download struct {
	b    *Bucket
	key  string
	full string
}

// serial reads the whole range as one stream.
func (g *download) serial(ctx context.Context, opts blob.GetOptions) (*blob.Object, error) {
	obj, err := g.open(ctx, opts)
	if err != nil {
		if statusOf(err) == http.StatusRequestedRangeNotSatisfiable {
			return g.empty(ctx, opts)
		}
		return nil, g.b.fail(ctx, "Get", g.key, err)
	}
	return obj, nil
}

// open makes one request for a range and returns it with a body that resumes.
func (g *download) open(ctx context.Context, opts blob.GetOptions) (*blob.Object, error) {
	body := newBody(ctx, g)
	obj, err := body.open(opts)
	if err != nil {
		body.Close()
		return nil, err
	}
	obj.Body = body
	return obj, nil
}

// empty answers a range that the server finds to lie behind the end.
func (g *download) empty(ctx context.Context, opts blob.GetOptions) (*blob.Object, error) {
	attrs, err := g.b.Head(ctx, g.key)
	if err != nil {
		return nil, err
	}
	if opts.IfMatch != "" && unquoted(attrs.ETag) != unquoted(opts.IfMatch) {
		return nil, g.b.fail(ctx, "Get", g.key, blob.ErrPrecondition)
	}
	return &blob.Object{Attrs: attrs, Offset: min(opts.Offset, attrs.Size), Body: http.NoBody}, nil
}

// request asks for a range once, with the client's retries.
func (g *download) request(ctx context.Context, opts blob.GetOptions) (*blob.Object, error) {
	out, err := g.b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket:       &g.b.name,
		Key:          &g.full,
		Range:        optional(rangeHeader(opts.Offset, opts.Length)),
		IfMatch:      optional(opts.IfMatch),
		VersionId:    g.b.opts.versionID(),
		RequestPayer: g.b.opts.requestPayer(),
	})
	if err != nil {
		return nil, err
	}
	g.b.authenticated.Store(true)
	obj, err := g.object(out, opts)
	if err != nil {
		out.Body.Close()
	}
	return obj, err
}

// object returns what an answer has in it.
func (g *download) object(out *s3.GetObjectOutput, opts blob.GetOptions) (*blob.Object, error) {
	obj := &blob.Object{
		Attrs: blob.Attrs{
			Key:             g.key,
			Size:            value(out.ContentLength),
			ETag:            value(out.ETag),
			ModTime:         value(out.LastModified),
			ContentType:     value(out.ContentType),
			ContentEncoding: value(out.ContentEncoding),
		},
		Length: -1,
		Body:   out.Body,
	}
	if out.ContentLength != nil {
		obj.Length = *out.ContentLength
	}
	if opts.IfMatch != "" && unquoted(obj.ETag) != unquoted(opts.IfMatch) {
		return nil, blob.ErrPrecondition // from a server that ignores the condition
	}
	if opts.Offset == 0 && opts.Length == 0 {
		return obj, nil
	}
	first, last, size, err := parseContentRange(value(out.ContentRange))
	if err != nil {
		return nil, err
	}
	if first != opts.Offset || opts.Length > 0 && last-first >= opts.Length || obj.Length >= 0 && obj.Length != last-first+1 {
		return nil, fmt.Errorf("asked for %s, got %q", rangeHeader(opts.Offset, opts.Length), value(out.ContentRange))
	}
	obj.Offset, obj.Length, obj.Size = first, last-first+1, size
	return obj, nil
}

// rangeHeader returns the Range for length bytes from offset, "" for all.
func rangeHeader(offset, length int64) string {
	switch {
	case length > 0:
		return "bytes=" + strconv.FormatInt(offset, 10) + "-" + strconv.FormatInt(offset+length-1, 10)
	case offset > 0:
		return "bytes=" + strconv.FormatInt(offset, 10) + "-"
	}
	return ""
}

// parseContentRange reads "bytes first-last/size".
func parseContentRange(s string) (first, last, size int64, err error) {
	fail := func() (int64, int64, int64, error) {
		if s == "" {
			return 0, 0, 0, errors.New("the server ignores Range and sent the whole object")
		}
		return 0, 0, 0, fmt.Errorf("malformed Content-Range %q", s)
	}
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	a, z, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return fail()
	}
	for _, field := range []struct {
		text string
		into *int64
	}{{a, &first}, {z, &last}, {total, &size}} {
		n, err := strconv.ParseUint(field.text, 10, 63)
		if err != nil {
			return fail()
		}
		*field.into = int64(n)
	}
	if first > last || last >= size {
		return fail()
	}
	return first, last, size, nil
}

// isChecksumMismatch reports whether the SDK found that what was received is
// not what was stored.
func isChecksumMismatch(err error) bool {
	return err != nil && err != io.EOF && strings.Contains(err.Error(), "checksum did not match")
}
