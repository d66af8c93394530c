package httpblob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/httpblob"
	"example.com/nixs3/store/blob/internal/siege"
)

// sieged are operations against a server that misbehaves.
var sieged = []struct {
	name string
	do   func(context.Context, *httpblob.Bucket) error
}{
	{"Get", func(ctx context.Context, b *httpblob.Bucket) error {
		_, _, err := blob.ReadAll(ctx, b, "key", 1<<20)
		return err
	}},
	{"Get of a part", func(ctx context.Context, b *httpblob.Bucket) error {
		obj, err := b.Get(ctx, "key", blob.GetOptions{Offset: 10, Length: 10})
		if err != nil {
			return err
		}
		defer obj.Body.Close()
		_, err = obj.Body.Read(make([]byte, 100))
		return err
	}},
	{"Head", func(ctx context.Context, b *httpblob.Bucket) error {
		_, err := b.Head(ctx, "key")
		return err
	}},
	{"Put", func(ctx context.Context, b *httpblob.Bucket) error {
		_, err := b.Put(ctx, "key", bytes.NewReader(make([]byte, 10)), blob.PutOptions{})
		return err
	}},
	{"Put of much", func(ctx context.Context, b *httpblob.Bucket) error {
		_, err := b.Put(ctx, "key", bytes.NewReader(make([]byte, 2<<20)), blob.PutOptions{})
		return err
	}},
	{"Delete", func(ctx context.Context, b *httpblob.Bucket) error { return b.Delete(ctx, "key", "another") }},
}

// Every operation ends with every answer, in the time that the policy gives it,
// without goroutines of its own left over, and without reading what it does not
// need.
func TestSiege(t *testing.T) {
	policy := blob.Retry{Attempts: 2, Delay: time.Millisecond, RateLimitedDelay: time.Millisecond, Stall: 10 * time.Second, FirstByte: 20 * time.Second}
	log.SetOutput(io.Discard) // net/http tells of unsolicited answers there
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	gaveUp := errors.New("the test gave up")
	for _, answer := range siege.Answers() {
		for _, op := range sieged {
			t.Run(answer.Name+"/"+op.name, func(t *testing.T) {
				for _, cancels := range []bool{false, true} {
					if cancels && !answer.Hangs {
						continue
					}
					synctest.Test(t, func(t *testing.T) {
						server := &siege.Server{Answer: answer}
						transport := server.Transport()
						defer transport.CloseIdleConnections()
						b, err := httpblob.Open("http://cache.example", httpblob.Options{Transport: transport, Retry: policy})
						require.NoError(t, err)
						ctx, cancel := context.WithCancelCause(t.Context())
						if cancels {
							time.AfterFunc(time.Second/2, func() { cancel(gaveUp) })
						}
						defer cancel(nil)
						begin := time.Now()
						err = op.do(ctx, b)
						took := time.Since(begin)
						synctest.Wait()
						assert.Less(t, server.Sent(), int64(4<<20), "bytes")
						if cancels {
							assert.LessOrEqual(t, took, time.Second/2)
							want := gaveUp
							if took < time.Second/2 {
								want = nil // it failed before
							}
							requireOutcome(t, err, want)
							return
						}
						// A body that breaks off is resumed, each request of which is tried as often.
						assert.LessOrEqual(t, took, 4*policy.FirstByte)
						requireOutcome(t, err, outcome(answer.Name, op.name))
					})
				}
			})
		}
	}
}

// requireOutcome ends the test unless err is nil, what the server's status
// means, or wraps want.
func requireOutcome(t *testing.T, err, want error) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := errors.AsType[*blob.Error](err)
	require.True(t, ok, "%v", err)
	require.NotEmpty(t, e.Op)
	if e.Status == 0 && want != nil {
		require.ErrorIs(t, err, want)
	}
	for status, sentinel := range map[int]error{403: blob.ErrAccessDenied, 404: blob.ErrNotFound, 503: blob.ErrThrottled} {
		if e.Status == status {
			require.ErrorIs(t, err, sentinel)
		}
	}
}

// outcome is what an operation fails with where no status says it.
func outcome(answer, op string) error {
	switch answer {
	case "no answer", "no answer, no reading", "half a header", "200, header only", "200, half a body", "200, slow drip":
		return blob.ErrStalled
	case "200, wrong length":
		return io.ErrUnexpectedEOF
	case "200, endless body", "200, endless text":
		if op == "Get" {
			return blob.ErrTooLarge
		}
	}
	return nil
}
