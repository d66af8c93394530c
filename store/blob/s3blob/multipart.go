package s3blob

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"example.com/nixs3/store/blob"
)

const (
	// partsAtOnce is how many parts of one object are under way at once. Each
	// takes some 150 KiB for its request and connection.
	partsAtOnce = 4

	// cleanupTime bounds the abort of a failed upload, which runs on a context
	// of its own.
	cleanupTime = 10 * time.Second

	// answerTime is how long a cancelled upload waits for its ID. Without the
	// ID, the upload has to be searched.
	answerTime = 50 * time.Millisecond
)

// parts stores the object by a multipart upload and returns its ETag.
func (u *upload) parts(ctx context.Context) (string, error) {
	if u.content.Size() > maxParts*maxPartSize {
		return "", blob.ErrTooLarge
	}
	for restarted := false; ; restarted = true {
		m := &multipart{upload: u, began: time.Now()}
		etag, err := m.run(ctx)
		switch {
		case err == nil:
			return etag, nil
		case m.id == "" && isNotImplemented(err) && u.content.Size() <= maxSingle:
			return u.single(ctx)
		case codeOf(err) == "NoSuchUpload" && !restarted && ctx.Err() == nil:
			// Another program aborted the upload as a stale one.
			continue
		}
		return "", err
	}
}

// partSize returns the size of each part but the last.
func (b *Bucket) partSize(size int64) int64 {
	const step = 1 << 20
	least := (size + maxParts - 1) / maxParts
	return max(b.opts.PartSize, (least+step-1)/step*step)
}

// multipart is one multipart upload. It is the client that manager uses, and
// handles two cases that manager does not: a lost answer to the beginning of an
// upload, and one to its completion.
type multipart struct {
	*upload
	began   time.Time
	id      string
	orphans bool // there may be uploads that were begun unheard
}

func (m *multipart) run(ctx context.Context) (string, error) {
	//lint:ignore SA1019 its successor copies every part into memory
	uploader := manager.NewUploader(m, func(o *manager.Uploader) {
		o.PartSize = m.b.partSize(m.content.Size())
		o.Concurrency = min(partsAtOnce, m.b.opts.MaxConcurrency)
		o.RequestChecksumCalculation = m.b.client.Options().RequestChecksumCalculation
		o.BufferProvider = nil     // on Windows it would copy every part
		o.LeavePartsOnError = true // aborted below, on a context of its own
	})
	in := m.input()
	in.ContentLength = nil // of the parts, in their requests
	//lint:ignore SA1019 as above
	out, err := uploader.Upload(ctx, in)
	if m.orphans || err != nil && m.id != "" {
		m.cleanUp(ctx, err != nil)
	}
	if err != nil {
		return "", err
	}
	return value(out.ETag), nil
}

func (m *multipart) PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	return nil, errors.New("s3blob: an object of one part is not a multipart upload")
}

// CreateMultipartUpload notes the ID of the upload, and whether requests without
// an answer may have begun others.
func (m *multipart) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, opts ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	attempts := 0
	out, err := m.b.client.CreateMultipartUpload(ctx, in, append(opts, countAttempts(&attempts), answered)...)
	m.orphans = attempts > 1 || err != nil && statusOf(err) == 0 && attempts > 0
	if err == nil {
		if m.id = value(out.UploadId); m.id == "" {
			return nil, errNoUpload
		}
	}
	return out, err
}

var errNoUpload = errors.New("the server began an upload and did not name it")

// UploadPart leaves the parts unsigned in the compatible dialect, over plain
// HTTP too. Hashing them would take longer than sending them, and the digest of
// the whole does not give that of a part.
func (m *multipart) UploadPart(ctx context.Context, in *s3.UploadPartInput, opts ...func(*s3.Options)) (*s3.UploadPartOutput, error) {
	opts = append(opts, m.content.guard)
	if m.b.opts.Dialect == DialectCompatible {
		opts = append(opts, payloadHash(unsignedPayload))
	}
	return m.b.client.UploadPart(ctx, in, opts...)
}

// CompleteMultipartUpload treats "no such upload" as success if an earlier
// attempt has completed it.
func (m *multipart) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput, opts ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	attempts := 0
	out, err := m.b.client.CompleteMultipartUpload(ctx, in, append(opts, countAttempts(&attempts))...)
	if err == nil || attempts < 2 {
		return out, err
	}
	if codeOf(err) != "NoSuchUpload" && statusOf(err) != http.StatusPreconditionFailed {
		return out, err
	}
	attrs, headErr := m.b.Head(ctx, m.key)
	suffix := "-" + strconv.Itoa(len(in.MultipartUpload.Parts))
	if headErr != nil || attrs.Size != m.content.Size() || !strings.HasSuffix(unquoted(attrs.ETag), suffix) {
		return out, err
	}
	return &s3.CompleteMultipartUploadOutput{Key: in.Key, ETag: &attrs.ETag}, nil
}

// AbortMultipartUpload is never called, since LeavePartsOnError is set.
func (m *multipart) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput, opts ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error) {
	return m.b.client.AbortMultipartUpload(ctx, in, opts...)
}

// cleanUp aborts the upload, where it failed, and those begun unheard.
func (m *multipart) cleanUp(ctx context.Context, failed bool) {
	cut := ctx.Err() != nil // parts may still be on their way through the server
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	abort := func(id string) {
		err := m.b.abort(ctx, m.full, id)
		if err != nil {
			m.b.log.Warn("a multipart upload could not be aborted and keeps costing storage",
				"bucket", m.b.name, "key", m.full, "upload", id, "error", err)
		}
	}
	if failed && m.id != "" {
		abort(m.id)
		for wait := answerTime / 2; cut && wait <= 8*answerTime && m.revived(ctx, wait); wait *= 2 {
			abort(m.id)
		}
	}
	if !m.orphans {
		return
	}
	for up, err := range m.b.uploads(ctx, m.full) {
		if err != nil {
			m.b.log.Warn("multipart uploads could not be listed, one may be left open",
				"bucket", m.b.name, "key", m.full, "error", err)
			return
		}
		if m.isOrphan(ctx, up) {
			abort(up.ID)
		}
	}
}

// revived reports whether the upload is there again after a while: S3 warns that
// a part that was under way when its upload was aborted may outlive it.
func (m *multipart) revived(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	for up, err := range m.b.uploads(ctx, m.full) {
		if err != nil {
			return false
		}
		if up.ID == m.id {
			return true
		}
	}
	return false
}

// isOrphan reports whether this Put began an upload and lost its ID. The upload
// of another writer of the same key has parts, or begins again after an abort.
func (m *multipart) isOrphan(ctx context.Context, up blob.Upload) bool {
	const clockSkew = time.Minute
	if up.Key != m.full || up.ID == m.id || up.Initiated.Before(m.began.Add(-clockSkew)) {
		return false
	}
	out, err := m.b.client.ListParts(ctx, &s3.ListPartsInput{
		Bucket: &m.b.name, Key: &up.Key, UploadId: &up.ID, MaxParts: aws.Int32(1),
	})
	return err == nil && len(out.Parts) == 0
}

// answered lets a request that has been sent go on for a while when its context
// ends, until there is an answer. No further attempt follows.
func answered(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("Answered",
			func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
				ctx, cancel := outlive(ctx, answerTime)
				defer cancel()
				return next.HandleFinalize(ctx, in)
			}), middleware.After)
	})
}

// outlive returns a context that ends d after ctx.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel() }
}
