package httpblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"example.com/nixs3/store/blob"
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
		ContentEncoding: resp.Header.Get("Content-Encoding"),
	}
}

func (b *Bucket) get(ctx context.Context, u *url.URL, key string, opts blob.GetOptions) (*blob.Object, error) {
	if _, _, err := opts.Range(0); err != nil {
		return nil, b.error("Get", key, err)
	}
	r := &body{
		bucket: b, ctx: ctx, url: u, key: key,
		offset: opts.Offset, length: -1,
	}
	if opts.Length > 0 && opts.Length <= math.MaxInt64-opts.Offset { // what is longer goes to the end
		r.length = opts.Length
	}
	header := make(http.Header)
	if opts.IfMatch != "" {
		header.Set("If-Match", opts.IfMatch)
	}
	resp, err := r.request(header)
	if err != nil {
		return nil, err
	}
	obj, err := r.begin(resp, opts.IfMatch)
	if err != nil {
		r.Close()
		return nil, err
	}
	return obj, nil
}

// body is an open part of an object, over as many answers as it takes.
type body struct {
	bucket *Bucket
	ctx    context.Context
	url    *url.URL
	key    string

	offset  int64       // of the next byte in the object
	length  int64       // bytes that are still to come, -1 where that is not known
	size    int64       // of the object, -1 where that is not known
	same    http.Header // proves on resuming that the object is the same; nil where nothing does
	resumed int         // times, since much was read without
	mark    int64       // offset where it was resumed last

	answer  io.ReadCloser   // of the current request
	current context.Context // of it
	stop    func()          // ends it
	stall   *time.Timer     // ends it with errStalled
	err     error           // sticky
}

// errStalled is the cause of a request that was ended for lack of progress.
var errStalled = errors.New("the server sends nothing more")

// request asks for the rest of the part.
func (r *body) request(header http.Header) (*http.Response, error) {
	if r.offset > 0 || r.length >= 0 {
		rng := fmt.Sprintf("bytes=%d-", r.offset)
		if r.length >= 0 {
			rng += strconv.FormatInt(r.offset+r.length-1, 10)
		}
		header.Set("Range", rng)
	}
	ctx, cancel := context.WithCancelCause(r.ctx)
	r.current, r.stop = ctx, func() { cancel(nil) }
	r.stall = time.AfterFunc(r.bucket.opts.StallTimeout, func() { cancel(errStalled) })
	r.stall.Stop() // until the answer is there, other timeouts count
	resp, err := r.bucket.do(ctx, request{op: "Get", method: http.MethodGet, url: r.url, key: r.key, header: header})
	if err != nil {
		r.stop()
		return nil, err
	}
	r.answer = resp.Body
	return resp, nil
}

// begin makes the object from the first answer.
func (r *body) begin(resp *http.Response, ifMatch string) (*blob.Object, error) {
	obj := &blob.Object{Attrs: attrs(r.key, resp), Body: r}
	var err error
	switch resp.StatusCode {
	case http.StatusOK:
		err = r.cut(obj)
	case http.StatusPartialContent:
		err = r.partial(obj, resp.Header.Get("Content-Range"))
	case http.StatusRequestedRangeNotSatisfiable:
		err = r.behindEnd(obj, resp)
	default:
		err = r.bucket.statusError("Get", r.key, resp)
		drain(resp)
	}
	if err == nil && ifMatch != "" && obj.ETag != ifMatch { // the server ignored the condition
		err = r.bucket.error("Get", r.key, blob.ErrPrecondition)
	}
	if err != nil {
		return nil, err
	}
	r.offset, r.length, r.size = obj.Offset, obj.Length, obj.Size
	r.same = validator(resp.Header)
	return obj, nil
}

// partial checks that an answer is the part that was asked for.
func (r *body) partial(obj *blob.Object, contentRange string) error {
	first, n, size, err := parseContentRange(contentRange)
	if err == nil && first == r.offset {
		want := blob.GetOptions{Offset: r.offset, Length: max(0, r.length)}
		if _, length, err := want.Range(size); err == nil && n == length {
			obj.Size, obj.Offset, obj.Length = size, first, n
			return nil
		}
	}
	return r.bucket.error("Get", r.key, fmt.Errorf("asked for bytes from %d, got Content-Range %q", r.offset, contentRange))
}

// behindEnd makes an empty part where there is nothing at the offset.
func (r *body) behindEnd(obj *blob.Object, resp *http.Response) error {
	refused := r.bucket.statusError("Get", r.key, resp)
	drain(resp)
	a, err := r.bucket.head(r.ctx, r.url, r.key)
	if err != nil {
		return err
	}
	if a.Size < 0 || a.Size > r.offset {
		return refused
	}
	obj.Attrs, obj.Offset, obj.Length = a, a.Size, 0
	return nil
}

// cut makes the part that was asked for of an answer that has the whole
// object, because the server knows no ranges.
func (r *body) cut(obj *blob.Object) error {
	if obj.Size < 0 {
		obj.Length = -1
		if r.offset == 0 && r.length < 0 {
			return nil
		}
		return r.bucket.error("Get", r.key, errors.New("the server knows neither ranges nor the size of the object"))
	}
	opts := blob.GetOptions{Offset: r.offset, Length: max(0, r.length)}
	var err error
	if obj.Offset, obj.Length, err = opts.Range(obj.Size); err != nil {
		return r.bucket.error("Get", r.key, err)
	}
	if obj.Length == 0 {
		return nil
	}
	if err := r.skip(obj.Offset); err != nil {
		return r.bucket.error("Get", r.key, err)
	}
	return nil
}

// skip reads what lies before the part.
func (r *body) skip(n int64) error {
	for buf := make([]byte, 64<<10); n > 0; {
		got, err := r.readAnswer(buf[:min(n, int64(len(buf)))])
		n -= int64(got)
		if err != nil && n > 0 {
			return err
		}
	}
	return nil
}

// validator returns the condition under which an object is still the one that
// the header belongs to, nil where there is none that is safe.
func validator(h http.Header) http.Header {
	if etag := h.Get("ETag"); etag != "" && !strings.HasPrefix(etag, "W/") {
		return http.Header{"If-Match": {etag}}
	}
	if modified := h.Get("Last-Modified"); modified != "" {
		return http.Header{"If-Unmodified-Since": {modified}}
	}
	return nil
}

// parseContentRange reads "bytes first-last/size".
func parseContentRange(s string) (first, n, size int64, err error) {
	var last int64
	if _, err = fmt.Sscanf(s, "bytes %d-%d/%d", &first, &last, &size); err != nil {
		return 0, 0, 0, err
	}
	if first < 0 || last < first || size <= last {
		return 0, 0, 0, errors.New("malformed Content-Range")
	}
	return first, last - first + 1, size, nil
}

// Read reads the part, and begins anew where the connection breaks.
func (r *body) Read(p []byte) (int, error) {
	if r.err == nil && r.length == 0 {
		r.err = io.EOF
	}
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.length > 0 {
		p = p[:min(int64(len(p)), r.length)]
	}
	n, err := r.readAnswer(p)
	r.offset += int64(n)
	if r.length > 0 {
		r.length -= int64(n)
	}
	switch {
	case err == nil || r.length == 0:
		return n, nil
	case err == io.EOF && r.length < 0:
		r.err = io.EOF
	case r.ctx.Err() != nil:
		r.err = r.bucket.error("Get", r.key, context.Cause(r.ctx))
	default:
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		r.err = r.resume(err)
	}
	if n > 0 && r.err != io.EOF {
		return n, nil // the error comes next
	}
	if r.err == nil {
		return r.Read(p)
	}
	return n, r.err
}

// readAnswer reads from the current answer, which has to make progress.
func (r *body) readAnswer(p []byte) (int, error) {
	r.stall.Reset(r.bucket.opts.StallTimeout)
	n, err := r.answer.Read(p)
	r.stall.Stop()
	if err != nil && context.Cause(r.current) == errStalled {
		err = errStalled
	}
	return n, err
}

// progress is how much has to be read before a broken connection counts as the
// first again.
const progress = 1 << 20

// resume asks for what is still to come after the failure cause.
func (r *body) resume(cause error) error {
	if r.offset-r.mark >= progress {
		r.resumed = 0
	}
	r.resumed, r.mark = r.resumed+1, r.offset
	if r.same == nil || r.size < 0 || r.resumed >= r.bucket.opts.Retry.Attempts {
		return r.bucket.error("Get", r.key, broken(cause))
	}
	r.close()
	r.bucket.opts.Logger.WarnContext(r.ctx, "body broke off and is resumed",
		"bucket", r.bucket.String(), "key", r.key, "offset", r.offset, "reason", cause)
	delay := r.bucket.opts.Retry.delay(r.resumed, nil)
	if err := sleep(r.ctx, delay); err != nil {
		return r.bucket.error("Get", r.key, err)
	}
	resp, err := r.request(r.same.Clone())
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		first, n, size, err := parseContentRange(resp.Header.Get("Content-Range"))
		if err == nil && first == r.offset && n == r.length && size == r.size {
			return nil
		}
	case http.StatusOK: // no ranges: skip what we have
		if resp.ContentLength == r.size && validates(r.same, resp.Header) {
			if err := r.skip(r.offset); err != nil {
				return r.bucket.error("Get", r.key, broken(err))
			}
			return nil
		}
	case http.StatusPreconditionFailed:
	default:
		return r.bucket.statusError("Get", r.key, resp)
	}
	return r.bucket.error("Get", r.key, fmt.Errorf("%w: the object changed while it was read", blob.ErrPrecondition))
}

// validates tells whether the header of an answer meets the condition.
func validates(same, h http.Header) bool {
	if etag := same.Get("If-Match"); etag != "" {
		return etag == h.Get("ETag")
	}
	return same.Get("If-Unmodified-Since") == h.Get("Last-Modified")
}

// broken is the error of a body that ends too early.
func broken(cause error) error {
	if errors.Is(cause, io.ErrUnexpectedEOF) {
		return cause
	}
	return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, cause)
}

// close ends the current answer.
func (r *body) close() {
	r.stop()
	r.answer.Close()
}

func (r *body) Close() error {
	if r.err == nil || r.err == io.EOF {
		r.err = errors.New("read of a closed body")
	}
	r.close()
	return nil
}
