package s3blob

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"example.com/nixs3/store/blob"
)

// abilities are facts about a server that its answers have shown.
type abilities struct {
	authenticated atomic.Bool // has understood a request and accepted its signature
	conditional   atomic.Bool // has refused a write whose condition did not hold
	unconditional atomic.Bool // answers 501 to conditional writes
	probed        atomic.Bool // learnCondition has asked
	noBatchDelete atomic.Bool // has no DeleteObjects
}

func (a *abilities) honoursConditions() bool {
	return a.conditional.Load() && !a.unconditional.Load()
}

// precheck fails with ErrPrecondition if the object's attributes show that the
// condition of a write does not hold.
func (b *Bucket) precheck(ctx context.Context, key string, opts blob.PutOptions) error {
	attrs, err := b.Head(ctx, key)
	switch {
	case err == nil && (opts.IfNoneMatch || unquoted(attrs.ETag) != unquoted(opts.IfMatch)),
		errors.Is(err, blob.ErrNotFound) && opts.IfMatch != "":
		return blob.ErrPrecondition
	case err == nil, errors.Is(err, blob.ErrNotFound):
		return nil
	case errors.Is(err, blob.ErrAccessDenied) && !b.unconditional.Load():
		return nil // may write but not read: the server checks
	}
	return err
}

// probeSize is the largest object that learnCondition sends twice.
const probeSize = 64 << 10

// learnCondition finds out, once for a bucket, whether the server honours
// conditions. It repeats a conditional write that has just succeeded; the server
// must refuse it. A server that does not stores the same bytes again. The answer
// saves a Head before every conditional write.
func (u *upload) learnCondition(ctx context.Context) {
	if !u.opts.IfNoneMatch || u.content.Size() > probeSize || u.b.honoursConditions() || !u.b.probed.CompareAndSwap(false, true) {
		return
	}
	if _, err := u.single(ctx); statusOf(err) == http.StatusPreconditionFailed {
		u.b.conditional.Store(true)
	}
}

// afterCondition handles the failure of a conditional write. It notes the
// abilities that the failure shows and sends again where that helps.
func (u *upload) afterCondition(ctx context.Context, err error, send func(context.Context) (string, error)) (string, error) {
	switch {
	case statusOf(err) == http.StatusPreconditionFailed:
		u.b.conditional.Store(true)
		if plain := unquoted(u.opts.IfMatch); plain != u.opts.IfMatch && u.b.opts.Dialect == DialectCompatible {
			// Ceph compares with the ETag as it is without quotes.
			u.opts.IfMatch = plain
			return send(ctx)
		}
	case u.opts.IfMatch != "" && statusOf(err) == http.StatusNotFound && codeOf(err) != "NoSuchBucket":
		return "", blob.ErrPrecondition
	case isNotImplemented(err):
		u.b.log.Info("the server has no conditional writes, checking attributes instead", "bucket", u.b.name)
		u.b.unconditional.Store(true)
		if err := u.b.precheck(ctx, u.key, u.opts); err != nil {
			return "", err
		}
		u.opts.IfNoneMatch, u.opts.IfMatch = false, ""
		return send(ctx)
	}
	return "", err
}

// ours returns the ETag if the object that exists is the one that an earlier
// attempt of this upload stored, whose answer was lost; else the refusal.
func (u *upload) ours(ctx context.Context, refusal error) (string, error) {
	attrs, err := u.b.Head(ctx, u.key)
	if err != nil || attrs.Size != u.content.Size() {
		return "", refusal
	}
	sum := md5.New()
	if _, err := io.Copy(sum, io.NewSectionReader(u.content, 0, attrs.Size)); err != nil {
		return "", err
	}
	if unquoted(attrs.ETag) != hex.EncodeToString(sum.Sum(nil)) {
		return "", refusal
	}
	return attrs.ETag, nil
}
