package s3blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/siege"
	"example.com/nixs3/store/blob/s3blob"
)

type good = func(r *http.Request) (int, http.Header, string)

// goodUpload begins multipart uploads, and takes parts where it is true.
type goodUpload bool

func (parts goodUpload) answer(r *http.Request) (int, http.Header, string) {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return 200, nil, "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>"
	case r.Method == http.MethodPut && q.Has("partNumber") && bool(parts):
		return 200, http.Header{"Etag": {`"part"`}}, ""
	}
	return 0, nil, ""
}

func goodHead(r *http.Request) (int, http.Header, string) {
	if r.Method == http.MethodHead {
		return 200, http.Header{"Etag": {`"e"`}}, "content"
	}
	return 0, nil, ""
}

// goodFirstPart sends the first part of four of an object.
func goodFirstPart(r *http.Request) (int, http.Header, string) {
	if strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
		return 206, http.Header{"Etag": {`"e"`}, "Content-Range": {fmt.Sprintf("bytes 0-%d/%d", len(firstPart)-1, 4*len(firstPart))}}, firstPart
	}
	return 0, nil, ""
}

var firstPart = strings.Repeat("x", 5<<20)

// goodLarge describes an object that is copied in parts, and begins the upload.
func goodLarge(r *http.Request) (int, http.Header, string) {
	if r.Method == http.MethodHead {
		return 200, http.Header{"Etag": {`"e"`}, "Content-Length": {fmt.Sprint(6 << 30)}}, ""
	}
	return goodUpload(false).answer(r)
}

// sieged are operations against a server that misbehaves. No content means that
// the answer to a success is not read.
var sieged = []struct {
	name      string
	good      good
	noContent bool
	do        func(context.Context, *s3blob.Bucket) error
}{
	{"Get", nil, false, func(ctx context.Context, b *s3blob.Bucket) error {
		_, _, err := blob.ReadAll(ctx, b, "key", 1<<20)
		return err
	}},
	{"Get of a part", nil, true, func(ctx context.Context, b *s3blob.Bucket) error {
		obj, err := b.Get(ctx, "key", blob.GetOptions{Offset: 10, Length: 10})
		if err != nil {
			return err
		}
		defer obj.Body.Close()
		_, err = obj.Body.Read(make([]byte, 100))
		return err
	}},
	{"Get in a window", goodFirstPart, true, func(ctx context.Context, b *s3blob.Bucket) error {
		opts := b.Options()
		opts.Window = 3
		b = s3blob.New(b.Client(), "bucket", "", opts)
		obj, err := b.Get(ctx, "key", blob.GetOptions{})
		if err != nil {
			return err
		}
		defer obj.Body.Close()
		n, err := io.Copy(io.Discard, obj.Body)
		if err == nil {
			return fmt.Errorf("%d bytes and no error", n)
		}
		return err
	}},
	{"Head", nil, true, func(ctx context.Context, b *s3blob.Bucket) error {
		_, err := b.Head(ctx, "key")
		return err
	}},
	{"Put", nil, true, func(ctx context.Context, b *s3blob.Bucket) error {
		_, err := b.Put(ctx, "key", bytes.NewReader(make([]byte, 10)), blob.PutOptions{})
		return err
	}},
	{"Put of much", nil, true, func(ctx context.Context, b *s3blob.Bucket) error {
		_, err := b.Put(ctx, "key", bytes.NewReader(make([]byte, 3<<20)), blob.PutOptions{})
		return err
	}},
	{"beginning a multipart upload", nil, false, multipart},
	{"parts", goodUpload(false).answer, true, multipart},
	{"completing", goodUpload(true).answer, false, multipart},
	{"Delete", nil, true, func(ctx context.Context, b *s3blob.Bucket) error { return b.Delete(ctx, "key") }},
	{"Delete of many", nil, false, func(ctx context.Context, b *s3blob.Bucket) error { return b.Delete(ctx, "key", "another") }},
	{"List", nil, false, func(ctx context.Context, b *s3blob.Bucket) error {
		for _, err := range b.List(ctx, blob.ListOptions{}) {
			return err
		}
		return nil
	}},
	{"Uploads", nil, false, func(ctx context.Context, b *s3blob.Bucket) error {
		for _, err := range b.Uploads(ctx, "") {
			return err
		}
		return nil
	}},
	{"AbortUpload", nil, true, func(ctx context.Context, b *s3blob.Bucket) error {
		return b.AbortUpload(ctx, blob.Upload{Key: "key", ID: "id"})
	}},
	{"Copy", goodHead, false, func(ctx context.Context, b *s3blob.Bucket) error {
		_, err := b.CopyFrom(ctx, "key", b, "another", blob.PutOptions{})
		return err
	}},
	{"Copy in parts", goodLarge, false, func(ctx context.Context, b *s3blob.Bucket) error {
		_, err := b.CopyFrom(ctx, "key", b, "another", blob.PutOptions{})
		return err
	}},
	{"Versioned", nil, false, func(ctx context.Context, b *s3blob.Bucket) error {
		_, err := b.Versioned(ctx, "key")
		return err
	}},
	{"DeleteVersions", nil, false, func(ctx context.Context, b *s3blob.Bucket) error { return b.DeleteVersions(ctx, "key", "another") }},
	{"HonoursConditions", nil, true, func(ctx context.Context, b *s3blob.Bucket) error {
		_, err := b.HonoursConditions(ctx, "key")
		return err
	}},
	{"Presign", nil, true, func(ctx context.Context, b *s3blob.Bucket) error {
		_, err := b.PresignGet(ctx, "key", time.Minute)
		return err
	}},
}

func multipart(ctx context.Context, b *s3blob.Bucket) error {
	_, err := b.Put(ctx, "key", bytes.NewReader(make([]byte, 6<<20)), blob.PutOptions{})
	return err
}

// Every operation ends with every answer, in the time that the policy gives it,
// without goroutines of its own left over, and without reading what it does not
// need.
func TestSiege(t *testing.T) {
	log.SetOutput(io.Discard) // net/http tells of unsolicited answers there
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	for _, answer := range siege.Answers() {
		for _, op := range sieged {
			t.Run(answer.Name+"/"+op.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { besiege(t, answer, op.good, op.do, op.noContent, false) })
				if answer.Hangs {
					synctest.Test(t, func(t *testing.T) { besiege(t, answer, op.good, op.do, op.noContent, true) })
				}
			})
		}
	}
}

func besiege(t *testing.T, answer siege.Answer, good good, do func(context.Context, *s3blob.Bucket) error, noContent, cancels bool) {
	const (
		attempts = 2
		firstly  = 20 * time.Second
		cleanup  = 15 * time.Second
		patience = time.Second / 2
	)
	server := &siege.Server{Answer: answer, Good: good}
	transport := server.Transport()
	defer transport.CloseIdleConnections()
	client := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://s3.example"), UsePathStyle: true,
		Credentials:      credentials.NewStaticCredentialsProvider("key", "secret", ""),
		HTTPClient:       &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		RetryMaxAttempts: attempts,
	})
	b := s3blob.New(client, "bucket", "", s3blob.Options{MultipartThreshold: 5 << 20, Retry: blob.Retry{
		Attempts: attempts, Delay: time.Millisecond, Stall: 10 * time.Second, FirstByte: firstly,
	}})
	gaveUp := errors.New("the test gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	if cancels {
		time.AfterFunc(patience, func() { cancel(gaveUp) })
	}
	begin := time.Now()
	allocated := siege.Allocated()
	err := do(ctx, b)
	took := time.Since(begin)
	synctest.Wait()
	assert.Less(t, server.Sent(), int64(24<<20), "bytes")
	// Two attempts of pages of 16 MiB, each read into a buffer that grows; the race
	// detector drops pooled ones.
	assert.Less(t, siege.Allocated()-allocated, uint64(128<<20), "bytes of memory")
	limit := 2*attempts*firstly + time.Minute
	var want error
	if cancels {
		limit = patience + cleanup
		if took >= patience {
			want = gaveUp
		}
	} else if !noContent || !strings.HasPrefix(answer.Name, "200") {
		want = outcome(answer.Name)
	}
	assert.LessOrEqual(t, took, limit)
	if err == nil {
		assert.True(t, want == nil || noContent || cancels, "no error of %q", answer.Name)
		return
	}
	e, ok := errors.AsType[*blob.Error](err)
	require.True(t, ok, "%v", err)
	require.NotEmpty(t, e.Op)
	if e.Status/100 <= 2 && want != nil {
		require.ErrorIs(t, err, want)
	}
	for status, sentinel := range map[int]error{403: blob.ErrAccessDenied, 503: blob.ErrThrottled} {
		if e.Status == status {
			require.ErrorIs(t, err, sentinel)
		}
	}
}

// outcome is what an operation fails with where no status says it.
func outcome(answer string) error {
	switch answer {
	case "no answer", "no answer, no reading", "half a header", "200, header only", "200, slow drip":
		return blob.ErrStalled
	case "200, endless text":
		return blob.ErrTooLarge
	}
	return nil
}

// An object without end is read until the caller ends it.
func TestEndlessObjectIsCancelled(t *testing.T) {
	for _, answer := range siege.Answers() {
		if !strings.HasPrefix(answer.Name, "200, endless") {
			continue
		}
		t.Run(answer.Name, func(t *testing.T) {
			gaveUp := errors.New("the test gave up")
			synctest.Test(t, func(t *testing.T) {
				besiege(t, answer, nil, func(ctx context.Context, b *s3blob.Bucket) error {
					ctx, cancel := context.WithCancelCause(ctx)
					obj, err := b.Get(ctx, "key", blob.GetOptions{})
					require.NoError(t, err)
					defer obj.Body.Close()
					_, err = io.CopyN(io.Discard, obj.Body, 1<<20)
					require.NoError(t, err)
					cancel(gaveUp)
					n, err := io.Copy(io.Discard, obj.Body)
					assert.ErrorIs(t, err, gaveUp)
					assert.Zero(t, n)
					return nil
				}, true, false)
			})
		})
	}
}
