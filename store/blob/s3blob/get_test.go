package s3blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/storetest/fakes3"
)

// readers are the two ways to read.
var readers = []struct {
	name    string
	options s3blob.Options
}{
	{"one stream", s3blob.Options{}},
	{"a window of 3", s3blob.Options{Window: 3}},
}

func TestGetResumes(t *testing.T) {
	for _, fault := range []struct {
		name string
		fakes3.Fault
	}{
		{"slow down", fakes3.Fault{}},
		{"reset before the answer", fakes3.Fault{Kind: "reset"}},
		{"answer lost", fakes3.Fault{Kind: "lose-response"}},
		{"reset at once", fakes3.Fault{Kind: "reset-body"}},
		{"reset in the body", fakes3.Fault{Kind: "reset-body", After: 1 << 20}},
		{"cut short", fakes3.Fault{Kind: "truncate", After: 3<<20 + 1}},
		{"reset again and again", fakes3.Fault{Kind: "reset-body", After: 3 << 20, Times: 20}},
	} {
		for _, reader := range readers {
			t.Run(fault.name+", "+reader.name, func(t *testing.T) {
				server := newFake(t, fakes3.Options{})
				b := open(t, server, "?", reader.options)
				put(t, b, "object", big, blob.PutOptions{})
				server.ResetLog()
				fault.Op = "GetObject"
				server.Inject(fault.Fault)
				obj, err := b.Get(t.Context(), "object", blob.GetOptions{Offset: 7, Length: int64(len(big)) - 10})
				require.NoError(t, err)
				defer obj.Body.Close()
				got, err := io.ReadAll(obj.Body)
				require.NoError(t, err)
				require.True(t, bytes.Equal(big[7:len(big)-3], got))
				for i, r := range server.Requests() {
					if i > 0 && r.Fault == nil && reader.options.Window == 0 && fault.After > 0 {
						assert.NotEmpty(t, r.Header.Get("If-Match"))
					}
				}
			})
		}
	}
}

func TestGetGivesUp(t *testing.T) {
	for _, reader := range readers {
		t.Run(reader.name, func(t *testing.T) {
			server := newFake(t, fakes3.Options{})
			b := open(t, server, "?", reader.options)
			put(t, b, "object", big, blob.PutOptions{})
			obj, err := b.Get(t.Context(), "object", blob.GetOptions{})
			require.NoError(t, err)
			defer obj.Body.Close()
			_, err = io.ReadFull(obj.Body, make([]byte, 10))
			require.NoError(t, err)
			server.Close()
			_, err = io.Copy(io.Discard, obj.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			var e *blob.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "object", e.Key)
			_, again := obj.Body.Read(make([]byte, 1))
			assert.Equal(t, err, again, "an error stays")
		})
	}
}

func TestGetNoticesThatTheObjectChanged(t *testing.T) {
	for _, reader := range readers {
		t.Run(reader.name, func(t *testing.T) {
			server := newFake(t, fakes3.Options{})
			b := open(t, server, "?", reader.options)
			put(t, b, "object", big, blob.PutOptions{})
			server.Inject(fakes3.Fault{Op: "GetObject", Kind: "truncate", After: 1000, Times: 3})
			obj, err := b.Get(t.Context(), "object", blob.GetOptions{})
			require.NoError(t, err)
			defer obj.Body.Close()
			put(t, b, "object", noise(len(big)+1), blob.PutOptions{})
			_, err = io.Copy(io.Discard, obj.Body)
			require.ErrorIs(t, err, blob.ErrPrecondition)
		})
	}
}

func TestGetInAWindow(t *testing.T) {
	const part = 5 << 20
	for name, test := range map[string]struct {
		size     int
		options  blob.GetOptions
		requests int
	}{
		"empty":               {0, blob.GetOptions{}, 1},
		"less than a part":    {100, blob.GetOptions{}, 1},
		"a part":              {part, blob.GetOptions{}, 1},
		"a part and a byte":   {part + 1, blob.GetOptions{}, 2},
		"parts without rest":  {3 * part, blob.GetOptions{}, 3},
		"parts with rest":     {5*part - 1, blob.GetOptions{}, 5},
		"from within":         {3 * part, blob.GetOptions{Offset: 17}, 3},
		"to within":           {4 * part, blob.GetOptions{Length: 2*part + 1}, 3},
		"beyond the end":      {2 * part, blob.GetOptions{Offset: part - 5, Length: 10 * part}, 2},
		"little of an object": {2 * part, blob.GetOptions{Offset: 5, Length: 10}, 1},
		"after the end":       {10, blob.GetOptions{Offset: 11}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFake(t, fakes3.Options{})
			b := open(t, server, "?multipart-upload=false", s3blob.Options{Window: 3})
			data := noise(test.size)
			put(t, b, "object", data, blob.PutOptions{})
			server.ResetLog()
			obj, err := b.Get(t.Context(), "object", test.options)
			require.NoError(t, err)
			defer obj.Body.Close()
			from := min(test.options.Offset, int64(len(data)))
			want := data[from:]
			if n := test.options.Length; n > 0 && n < int64(len(want)) {
				want = want[:n]
			}
			assert.Equal(t, from, obj.Offset)
			assert.EqualValues(t, len(want), obj.Length)
			assert.EqualValues(t, len(data), obj.Size)
			if len(want) < 1000 {
				require.NoError(t, iotest.TestReader(obj.Body, want))
			} else {
				got, err := io.ReadAll(obj.Body)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got))
			}
			assert.Equal(t, test.requests, server.Count("GetObject"))
			assert.LessOrEqual(t, server.MaxInFlight(), 3)
		})
	}
}

func TestWindowReadsNoFurtherThanItsParts(t *testing.T) {
	server := newFake(t, fakes3.Options{})
	b := open(t, server, "?multipart-upload=false", s3blob.Options{Window: 2})
	put(t, b, "object", noise(40<<20), blob.PutOptions{})
	server.ResetLog()
	obj, err := b.Get(t.Context(), "object", blob.GetOptions{})
	require.NoError(t, err)
	_, err = io.ReadFull(obj.Body, make([]byte, 1000))
	require.NoError(t, err)
	require.NoError(t, obj.Body.Close())
	require.NoError(t, obj.Body.Close(), "twice")
	assert.LessOrEqual(t, server.Count("GetObject"), 2)
	_, err = obj.Body.Read(make([]byte, 1))
	require.Error(t, err, "read of a closed body")
}

func TestCancelledWindow(t *testing.T) {
	gaveUp := errors.New("the test gave up")
	server := newFake(t, fakes3.Options{})
	b := open(t, server, "?", s3blob.Options{Window: 3})
	put(t, b, "object", big, blob.PutOptions{})
	server.Inject(fakes3.Fault{Op: "GetObject", Skip: 1, Times: -1, Kind: "hang"})
	ctx, cancel := context.WithCancelCause(t.Context())
	obj, err := b.Get(ctx, "object", blob.GetOptions{})
	require.NoError(t, err)
	_, err = io.ReadFull(obj.Body, make([]byte, 5<<20))
	require.NoError(t, err)
	cancel(gaveUp)
	_, err = io.Copy(io.Discard, obj.Body)
	require.ErrorIs(t, err, gaveUp)
	require.NoError(t, obj.Body.Close())
}

// Servers that are no S3, or a bad one.
func TestGetFromServersWithOddAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		header  map[string]string
		status  int
		options blob.GetOptions
		err     string
	}{
		"another range":             {map[string]string{"Content-Range": "bytes 0-4/5"}, 206, blob.GetOptions{Offset: 1}, `expected bytes=1-, got "bytes 0-4/5"`},
		"more than the range":       {map[string]string{"Content-Range": "bytes 1-4/5"}, 206, blob.GetOptions{Offset: 1, Length: 2}, "expected bytes="},
		"no range at all":           {map[string]string{"Content-Range": "lines 1-2/3"}, 206, blob.GetOptions{Offset: 1}, "malformed Content-Range"},
		"another length than range": {map[string]string{"Content-Range": "bytes 1-2/5", "Content-Length": "4"}, 206, blob.GetOptions{Offset: 1}, "expected bytes="},
		"another object":            {map[string]string{"ETag": `"b"`}, 200, blob.GetOptions{IfMatch: `"a"`}, "precondition failed"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for name, value := range test.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(test.status)
				io.WriteString(w, "body")
			}))
			defer server.Close()
			b := open(t, newFake(t, fakes3.Options{}), "?endpoint="+server.URL, s3blob.Options{})
			_, err := b.Get(t.Context(), "object", test.options)
			require.ErrorContains(t, err, test.err)
		})
	}
}

func TestGetFromServersWithoutRanges(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "whole body")
	}))
	defer server.Close()
	b := open(t, newFake(t, fakes3.Options{}), "?endpoint="+server.URL, s3blob.Options{})
	obj, err := b.Get(t.Context(), "object", blob.GetOptions{Offset: 2, Length: 4})
	require.NoError(t, err)
	defer obj.Body.Close()
	got, err := io.ReadAll(obj.Body)
	require.NoError(t, err)
	assert.Equal(t, "ole ", string(got))
}
