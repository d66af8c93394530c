package s3blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/storetest/fakes3"
)

// inParts makes big two parts.
const inParts = "&multipart-threshold=1"

var big = noise(5<<20 + 1000)

func TestPutSendsAttributes(t *testing.T) {
	const parameters = "?storage-class=STANDARD_IA&sse=AES256&tags=team=infra,stage=ci&requester-pays=true&cache-control=max-age=60"
	for _, test := range []struct {
		name     string
		location string
		op       string
	}{
		{"in one request", parameters, "PutObject"},
		{"in parts", parameters + inParts, "CreateMultipartUpload"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newFake(t, fakes3.Options{})
			b := open(t, server, test.location, s3blob.Options{})
			put(t, b, "object", big, blob.PutOptions{ContentType: "text/plain", ContentEncoding: "br"})
			for _, r := range server.Requests() {
				if r.Op != test.op {
					continue
				}
				got := map[string]string{}
				for name, values := range r.Header {
					got[name] = values[0]
				}
				assert.Subset(t, got, map[string]string{
					"Content-Type":                 "text/plain",
					"Content-Encoding":             "br",
					"Cache-Control":                "max-age=60",
					"X-Amz-Storage-Class":          "STANDARD_IA",
					"X-Amz-Server-Side-Encryption": "AES256",
					"X-Amz-Tagging":                "stage=ci&team=infra",
					"X-Amz-Request-Payer":          "requester",
				})
				return
			}
			require.Failf(t, "no request", "%s in %v", test.op, server.Counts())
		})
	}
}

// countingContent counts the bytes that are read of it.
type countingContent struct {
	blob.Content
	read atomic.Int64
}

func (c *countingContent) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Content.ReadAt(p, off)
	c.read.Add(int64(n))
	return n, err
}

func TestKnownDigestIsThePayloadHash(t *testing.T) {
	digest := sha256.Sum256(big)
	for _, test := range []struct {
		name     string
		server   fakes3.Options
		dialect  s3blob.Dialect
		checksum string // x-amz-checksum-sha256
	}{
		{"http", fakes3.Options{}, s3blob.DialectAuto, ""},
		{"https", fakes3.Options{TLS: true}, s3blob.DialectAuto, ""},
		{"AWS's dialect", fakes3.Options{TLS: true}, s3blob.DialectAWS, base64.StdEncoding.EncodeToString(digest[:])},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newFake(t, test.server)
			b := open(t, server, "?", s3blob.Options{Dialect: test.dialect})
			content := &countingContent{Content: bytes.NewReader(big)}
			_, err := b.Put(t.Context(), "object", content, blob.PutOptions{SHA256: &digest})
			require.NoError(t, err)
			assert.EqualValues(t, len(big), content.read.Load(), "bytes read of the content")
			sent := server.Requests()[0].Header
			assert.Equal(t, hex.EncodeToString(digest[:]), sent.Get("X-Amz-Content-Sha256"))
			assert.Equal(t, test.checksum, sent.Get("X-Amz-Checksum-Sha256"))
			assert.Empty(t, sent.Get("X-Amz-Trailer"))
		})
	}
}

func TestPartsAreReadOnce(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	b := open(t, server, "?"+inParts, s3blob.Options{})
	content := &countingContent{Content: bytes.NewReader(big)}
	_, err := b.Put(t.Context(), "object", content, blob.PutOptions{})
	require.NoError(t, err)
	assert.EqualValues(t, len(big), content.read.Load())
	assert.Equal(t, 2, server.Count("UploadPart"))
	requireObject(t, b, "object", big)
}

func TestAWSPartsCarryChecksums(t *testing.T) {
	server := newFake(t, fakes3.Options{TLS: true})
	b := open(t, server, "?"+inParts, s3blob.Options{Dialect: s3blob.DialectAWS})
	put(t, b, "object", big, blob.PutOptions{})
	requireObject(t, b, "object", big)
	for _, r := range server.Requests() {
		if r.Op == "UploadPart" {
			assert.Equal(t, "x-amz-checksum-crc32", r.Header.Get("X-Amz-Trailer"))
		}
	}
}

// Each request of an upload fails once, in each of these ways, and the upload
// succeeds all the same.
func TestPutSurvivesOneFailure(t *testing.T) {
	for _, kind := range []struct {
		name string
		fakes3.Fault
	}{
		{"slow down", fakes3.Fault{}},
		{"internal error", fakes3.Fault{Status: 500, Code: "InternalError"}},
		{"error in a 200", fakes3.Fault{Kind: "fail-in-200", Code: "InternalError"}},
		{"reset", fakes3.Fault{Kind: "reset"}},
		{"reset in the body", fakes3.Fault{Kind: "reset-upload", After: 1000}},
		{"answer lost", fakes3.Fault{Kind: "lose-response"}},
	} {
		for _, op := range []struct {
			name     string
			location string
			options  blob.PutOptions
		}{
			{"PutObject", "?", blob.PutOptions{}},
			{"PutObject", "?", blob.PutOptions{IfNoneMatch: true}},
			{"CreateMultipartUpload", "?" + inParts, blob.PutOptions{}},
			{"UploadPart", "?" + inParts, blob.PutOptions{}},
			{"CompleteMultipartUpload", "?" + inParts, blob.PutOptions{}},
			{"CompleteMultipartUpload", "?" + inParts, blob.PutOptions{IfNoneMatch: true}},
		} {
			if kind.Kind == "fail-in-200" && op.name != "CompleteMultipartUpload" {
				continue
			}
			name := kind.name + "/" + op.name
			if op.options.IfNoneMatch {
				name += " if new"
			}
			t.Run(name, func(t *testing.T) {
				server := newFake(t, fakes3.Options{})
				b := open(t, server, op.location, s3blob.Options{})
				fault := kind.Fault
				fault.Op = op.name
				server.Inject(fault)
				attrs := put(t, b, "object", big, op.options)
				assert.Empty(t, server.PendingFaults())
				head, err := b.Head(t.Context(), "object")
				require.NoError(t, err)
				assert.Equal(t, head.ETag, attrs.ETag)
				requireObject(t, b, "object", big)
				requireNoUploads(t, b)
			})
		}
	}
}

// Each request of an upload fails for good, in each of these ways, and nothing
// is left of it.
func TestPutLeavesNothingBehind(t *testing.T) {
	for _, kind := range []struct {
		name string
		fakes3.Fault
	}{
		{"denied", fakes3.Fault{Status: 403, Code: "AccessDenied"}},
		{"slow down", fakes3.Fault{}},
		{"reset", fakes3.Fault{Kind: "reset"}},
		{"error in a 200", fakes3.Fault{Kind: "fail-in-200", Code: "InternalError"}},
		{"answer lost", fakes3.Fault{Kind: "lose-response"}},
	} {
		for _, op := range []string{"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"} {
			if kind.Kind == "fail-in-200" && op != "CompleteMultipartUpload" ||
				kind.Kind == "lose-response" && op == "CompleteMultipartUpload" { // then the object is there
				continue
			}
			t.Run(kind.name+"/"+string(op), func(t *testing.T) {
				server := newFake(t, fakes3.Options{})
				b := open(t, server, "?"+inParts, s3blob.Options{})
				fault := kind.Fault
				fault.Op, fault.Times = op, -1
				server.Inject(fault)
				_, err := b.Put(t.Context(), "object", bytes.NewReader(big), blob.PutOptions{})
				require.Error(t, err)
				server.ClearFaults()
				requireNoUploads(t, b)
				_, err = b.Head(t.Context(), "object")
				require.ErrorIs(t, err, blob.ErrNotFound)
			})
		}
	}
}

// An upload is cancelled while each of its requests hangs.
func TestCancelledPutLeavesNothingBehind(t *testing.T) {
	gaveUp := errors.New("the test gave up")
	for _, test := range []struct {
		op       string
		location string
	}{
		{"PutObject", "?"},
		{"CreateMultipartUpload", "?" + inParts},
		{"UploadPart", "?" + inParts},
		{"CompleteMultipartUpload", "?" + inParts},
	} {
		for _, kind := range []string{"hang", "slow"} {
			name := map[string]string{"hang": " hangs", "slow": " is slow"}[kind]
			t.Run(string(test.op)+name, func(t *testing.T) {
				server := newFake(t, fakes3.Options{})
				b := open(t, server, test.location, s3blob.Options{})
				server.Inject(fakes3.Fault{Op: test.op, Kind: kind, Delay: 30 * time.Millisecond})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				go func() {
					for server.Count(test.op) == 0 && t.Context().Err() == nil {
						time.Sleep(time.Millisecond)
					}
					cancel(gaveUp)
				}()
				_, err := b.Put(ctx, "object", bytes.NewReader(big), blob.PutOptions{})
				require.ErrorIs(t, err, gaveUp)
				requireNoUploads(t, b)
			})
		}
	}
}

func TestPutStartsAgainWhenItsUploadIsGone(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	b := open(t, server, "?"+inParts, s3blob.Options{})
	server.Inject(fakes3.Fault{Op: "CompleteMultipartUpload", Status: 404, Code: "NoSuchUpload"})
	put(t, b, "object", big, blob.PutOptions{})
	assert.Equal(t, 2, server.Count("CreateMultipartUpload"))
	requireObject(t, b, "object", big)
	requireNoUploads(t, b)
}

func TestPutWithoutMultipart(t *testing.T) {
	t.Run("turned off", func(t *testing.T) {
		server := newFake(t, fakes3.Options{})
		b := open(t, server, "?multipart-upload=false"+inParts, s3blob.Options{})
		put(t, b, "object", big, blob.PutOptions{})
		assert.Equal(t, map[string]int{"PutObject": 1}, server.Counts())
	})
	t.Run("the server has none", func(t *testing.T) {
		server := newFake(t, fakes3.Options{})
		b := open(t, server, "?"+inParts, s3blob.Options{Retry: blob.Retry{Attempts: 1}})
		server.Inject(fakes3.Fault{Op: "CreateMultipartUpload", Status: 501, Code: "NotImplemented"})
		put(t, b, "object", big, blob.PutOptions{})
		requireObject(t, b, "object", big)
	})
}

// hugeContent is of a size that no test can store.
type hugeContent int64

func (c hugeContent) Size() int64                       { return int64(c) }
func (c hugeContent) ReadAt([]byte, int64) (int, error) { return 0, io.ErrNoProgress }

func TestPutRefusesWhatS3DoesNotTake(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	for name, test := range map[string]struct {
		location string
		size     hugeContent
	}{
		"5 GiB in one request": {"?multipart-upload=false", 5<<30 + 1},
		"10,000 parts":         {"?", 10_000*(5<<30) + 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, server, test.location, s3blob.Options{})
			_, err := b.Put(t.Context(), "object", test.size, blob.PutOptions{})
			require.ErrorIs(t, err, blob.ErrTooLarge)
			assert.Zero(t, server.Count())
		})
	}
}

func TestContentThatFailsIsNotSentAgain(t *testing.T) {
	for _, location := range []string{"?", "?" + inParts} {
		server := newFake(t, fakes3.Options{})
		b := open(t, server, location, s3blob.Options{})
		_, err := b.Put(t.Context(), "object", hugeContent(len(big)), blob.PutOptions{SHA256: new([32]byte)})
		require.ErrorIs(t, err, io.ErrNoProgress)
		assert.ErrorContains(t, err, "reading the content")
		assert.LessOrEqual(t, server.Count("PutObject"), 1)
		requireNoUploads(t, b)
	}
}

func TestPutConditions(t *testing.T) {
	for _, server := range []struct {
		name string
		fakes3.Conditions
	}{
		{"honoured", fakes3.HonourConditions},
		{"ignored", fakes3.IgnoreConditions},
		{"refused", fakes3.RefuseConditions},
	} {
		for location, data := range map[string][]byte{"?": big[:1000], "?" + inParts: big} {
			t.Run(server.name+location, func(t *testing.T) {
				b := open(t, newFake(t, fakes3.Options{Conditions: server.Conditions}), location, s3blob.Options{})
				store := func(o blob.PutOptions) (blob.Attrs, error) {
					return b.Put(t.Context(), "object", bytes.NewReader(data), o)
				}
				_, err := store(blob.PutOptions{IfMatch: `"0"`})
				require.ErrorIs(t, err, blob.ErrPrecondition, "IfMatch without an object")
				first, err := store(blob.PutOptions{IfNoneMatch: true})
				require.NoError(t, err, "IfNoneMatch without an object")
				_, err = store(blob.PutOptions{IfNoneMatch: true})
				require.ErrorIs(t, err, blob.ErrPrecondition, "IfNoneMatch with an object")
				_, err = store(blob.PutOptions{IfMatch: `"0"`})
				require.ErrorIs(t, err, blob.ErrPrecondition, "IfMatch of another object")
				_, err = store(blob.PutOptions{IfMatch: first.ETag})
				require.NoError(t, err, "IfMatch of the object")
				requireNoUploads(t, b)
			})
		}
	}
}

// Ceph compares If-Match with the ETag without its quotes.
func TestIfMatchForCeph(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"abc"`)
		if r.Method == http.MethodPut && r.Header.Get("If-Match") != "abc" {
			w.WriteHeader(http.StatusPreconditionFailed)
		}
	}))
	defer server.Close()
	b := open(t, newFake(t, fakes3.Options{}), "?endpoint="+server.URL, s3blob.Options{})
	put(t, b, "object", nil, blob.PutOptions{IfMatch: `"abc"`})
	_, err := b.Put(t.Context(), "object", bytes.NewReader(nil), blob.PutOptions{IfMatch: `"def"`})
	require.ErrorIs(t, err, blob.ErrPrecondition)
}
