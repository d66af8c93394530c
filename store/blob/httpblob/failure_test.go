package httpblob_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/httpblob"
)

// answer lets every request fail with a status.
func answer(status int) func(int, http.ResponseWriter, *http.Request) bool {
	return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		return true
	}
}

func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		status            int
		wantRead          error
		wantWrite         error
		wantDelete        error
		wantReadRequests  int
		wantWriteRequests int
	}{
		{404, blob.ErrNotFound, blob.ErrNotFound, nil, 1, 1},
		{410, blob.ErrNotFound, blob.ErrNotFound, nil, 1, 1},
		{401, blob.ErrAccessDenied, blob.ErrAccessDenied, blob.ErrAccessDenied, 1, 1},
		{403, blob.ErrAccessDenied, blob.ErrAccessDenied, blob.ErrAccessDenied, 1, 1},
		{405, errUnexpected, blob.ErrReadOnly, blob.ErrReadOnly, 1, 1},
		{501, errUnexpected, blob.ErrReadOnly, blob.ErrReadOnly, 1, 1},
		{412, blob.ErrPrecondition, blob.ErrPrecondition, blob.ErrPrecondition, 1, 1},
		{413, blob.ErrTooLarge, blob.ErrTooLarge, blob.ErrTooLarge, 1, 1},
		{429, blob.ErrThrottled, blob.ErrThrottled, blob.ErrThrottled, 3, 3},
		{503, blob.ErrThrottled, blob.ErrThrottled, blob.ErrThrottled, 3, 3},
		{500, errUnexpected, errUnexpected, errUnexpected, 3, 3},
		{204, errUnexpected, nil, nil, 1, 1},
		{304, errUnexpected, errUnexpected, errUnexpected, 1, 1},
	} {
		t.Run(strconv.Itoa(tt.status), func(t *testing.T) {
			server := newWebServer(t)
			server.hook = answer(tt.status)
			b := server.open(t, func(o *httpblob.Options) { o.Retry.Attempts = 3 })
			check := func(err, want error, requests int) {
				t.Helper()
				assert.Len(t, server.seen(), requests)
				server.requests = nil
				if want == nil {
					assert.NoError(t, err)
					return
				}
				var e *blob.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, tt.status, e.Status)
				assert.Equal(t, strings.TrimPrefix(server.URL, "http://"), e.Endpoint)
				if want != errUnexpected {
					assert.ErrorIs(t, err, want)
				}
			}
			_, err := b.Get(t.Context(), "key", blob.GetOptions{})
			check(err, tt.wantRead, tt.wantReadRequests)
			_, err = b.Head(t.Context(), "key")
			check(err, tt.wantRead, tt.wantReadRequests)
			_, err = b.Put(t.Context(), "key", strings.NewReader("x"), blob.PutOptions{})
			check(err, tt.wantWrite, tt.wantWriteRequests)
			check(b.Delete(t.Context(), "key"), tt.wantDelete, tt.wantWriteRequests)
		})
	}
}

// errUnexpected stands for an error that is none of the sentinels.
var errUnexpected = errors.New("unexpected answer")

func TestRetries(t *testing.T) {
	data := bytes.Repeat([]byte("content "), 100000)
	failures := map[string]func(http.ResponseWriter, *http.Request){
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"reset": func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		},
		"reset in the upload": func(_ http.ResponseWriter, r *http.Request) {
			io.CopyN(io.Discard, r.Body, 1000)
			panic(http.ErrAbortHandler)
		},
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			server := newWebServer(t)
			server.hook = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n < 2 {
					fail(w, r)
					return true
				}
				return false
			}
			b := server.open(t)
			_, err := b.Put(t.Context(), "key", bytes.NewReader(data), blob.PutOptions{})
			require.NoError(t, err)
			assert.True(t, bytes.Equal(data, server.objects["key"].body), "the body is sent whole again")
			assert.Len(t, server.seen(), 3)
		})
	}
	t.Run("as often as asked for", func(t *testing.T) {
		server := newWebServer(t)
		server.hook = answer(500)
		_, err := server.open(t, func(o *httpblob.Options) { o.Retry.Attempts = 1 }).Head(t.Context(), "key")
		require.Error(t, err)
		assert.Len(t, server.seen(), 1)
	})
	t.Run("waits as the server asks", func(t *testing.T) {
		server := newWebServer(t)
		server.store("key", data, nil)
		server.hook = func(n int, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "3600")
			if n == 0 {
				w.WriteHeader(503)
			}
			return n == 0
		}
		begin := time.Now()
		_, err := server.open(t, func(o *httpblob.Options) { o.Retry.MaxDelay = 30 * time.Millisecond }).Head(t.Context(), "key")
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(begin), 30*time.Millisecond, "up to MaxDelay")
	})
	t.Run("broken content is not sent again", func(t *testing.T) {
		server := newWebServer(t)
		_, err := server.open(t).Put(t.Context(), "key", failing{}, blob.PutOptions{})
		require.ErrorIs(t, err, errContent)
		assert.LessOrEqual(t, len(server.seen()), 1)
		assert.Empty(t, server.objects)
	})
}

var errContent = errors.New("content is broken")

type failing struct{}

func (failing) Size() int64                       { return 10 }
func (failing) ReadAt([]byte, int64) (int, error) { return 0, errContent }

func TestResume(t *testing.T) {
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(i ^ i>>9)
	}
	// cut ends the n-th answer after some bytes of its body.
	cut := func(server *webServer, after int, upTo int) {
		server.hook = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n >= upTo {
				return false
			}
			server.get(&cutWriter{ResponseWriter: w, rest: after}, r, "key")
			return true
		}
	}
	for _, tt := range []struct {
		name         string
		after, times int
		prepare      func(*webServer)
		opts         blob.GetOptions
		want         error
		wantRequests int
	}{
		{name: "whole", after: 100000, times: 3, wantRequests: 4},
		{name: "before the first byte", after: 0, times: 2, wantRequests: 3},
		{name: "part", after: 100000, times: 3, opts: blob.GetOptions{Offset: 1000000, Length: 1000000}, wantRequests: 4},
		{name: "server without ranges", after: 2000000, times: 1, prepare: func(s *webServer) { s.noRanges = true }, wantRequests: 2},
		{name: "by Last-Modified", after: 100000, times: 1, prepare: func(s *webServer) { s.objects["key"].header.Del("ETag") }, wantRequests: 2},
		{name: "weak ETag", after: 100000, times: 1, prepare: func(s *webServer) {
			h := s.objects["key"].header
			h.Set("ETag", "W/"+h.Get("ETag"))
			h.Del("Last-Modified")
		}, want: io.ErrUnexpectedEOF, wantRequests: 1},
		{name: "weak ETag, verified", after: 100000, times: 1, opts: blob.GetOptions{Verified: true}, prepare: func(s *webServer) {
			h := s.objects["key"].header
			h.Set("ETag", "W/"+h.Get("ETag"))
			h.Del("Last-Modified")
		}, wantRequests: 2},
		{name: "nothing to tell by, verified", after: 100000, times: 2, opts: blob.GetOptions{Verified: true}, prepare: func(s *webServer) {
			s.objects["key"].header.Del("ETag")
			s.objects["key"].header.Del("Last-Modified")
		}, wantRequests: 3},
		{name: "nothing to tell by, without ranges, verified", after: 2000000, times: 1, opts: blob.GetOptions{Verified: true}, prepare: func(s *webServer) {
			s.noRanges = true
			s.objects["key"].header.Del("ETag")
			s.objects["key"].header.Del("Last-Modified")
		}, wantRequests: 2},
		{name: "nothing to tell by", after: 100000, times: 1, prepare: func(s *webServer) {
			s.objects["key"].header.Del("ETag")
			s.objects["key"].header.Del("Last-Modified")
		}, want: io.ErrUnexpectedEOF, wantRequests: 1},
		{name: "too often", after: 1000, times: 100, want: io.ErrUnexpectedEOF, wantRequests: 5},
		{name: "often, with progress", after: 1<<20 + 1, times: 2, wantRequests: 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := newWebServer(t)
			server.store("key", data, nil)
			if tt.prepare != nil {
				tt.prepare(server)
			}
			cut(server, tt.after, tt.times)
			obj, err := server.open(t).Get(t.Context(), "key", tt.opts)
			require.NoError(t, err)
			defer obj.Body.Close()
			got, err := io.ReadAll(obj.Body)
			assert.Len(t, server.seen(), tt.wantRequests)
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			assert.True(t, bytes.Equal(data[obj.Offset:obj.Offset+obj.Length], got))
		})
	}
	t.Run("the object changed", func(t *testing.T) {
		for _, noRanges := range []bool{false, true} {
			server := newWebServer(t)
			server.noRanges = noRanges
			server.store("key", data, nil)
			cut(server, 100000, 1)
			obj, err := server.open(t).Get(t.Context(), "key", blob.GetOptions{})
			require.NoError(t, err)
			defer obj.Body.Close()
			server.store("key", bytes.Repeat([]byte{1}, len(data)), nil)
			_, err = io.ReadAll(obj.Body)
			require.ErrorIs(t, err, blob.ErrPrecondition)
		}
	})
}

// cutWriter breaks the connection after rest bytes.
type cutWriter struct {
	http.ResponseWriter
	rest int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) <= w.rest {
		w.rest -= len(p)
		return w.ResponseWriter.Write(p)
	}
	w.ResponseWriter.Write(p[:w.rest])
	http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func TestLyingServers(t *testing.T) {
	for _, tt := range []struct {
		name string
		hook func(w http.ResponseWriter, r *http.Request)
		opts blob.GetOptions
	}{
		{"another range", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-4/10")
			w.WriteHeader(206)
			io.WriteString(w, "01234")
		}, blob.GetOptions{Offset: 5, Length: 5}},
		{"a shorter range", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-6/10")
			w.WriteHeader(206)
			io.WriteString(w, "56")
		}, blob.GetOptions{Offset: 5, Length: 5}},
		{"no Content-Range", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(206)
			io.WriteString(w, "56789")
		}, blob.GetOptions{Offset: 5, Length: 5}},
		{"a range nobody asked for", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-4/10")
			w.WriteHeader(206)
			io.WriteString(w, "01234")
		}, blob.GetOptions{}},
		{"odd range", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 9-5/10")
			w.WriteHeader(206)
		}, blob.GetOptions{Offset: 5, Length: 5}},
		{"refused range of a long object", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			if r.Method == "GET" {
				w.Header().Set("Content-Length", "0")
				w.WriteHeader(416)
			}
		}, blob.GetOptions{Offset: 5, Length: 5}},
		{"neither range nor size", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "0123456789")
			http.NewResponseController(w).Flush()
		}, blob.GetOptions{Offset: 5, Length: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := newWebServer(t)
			server.hook = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				tt.hook(w, r)
				return true
			}
			_, err := server.open(t).Get(t.Context(), "key", tt.opts)
			require.Error(t, err)
		})
	}
	t.Run("part without bounds", func(t *testing.T) {
		server := newWebServer(t)
		server.store("key", []byte("0123456789"), nil)
		b := server.open(t)
		for offset, want := range map[int64]string{5: "56789", math.MaxInt64: ""} {
			obj, err := b.Get(t.Context(), "key", blob.GetOptions{Offset: offset, Length: math.MaxInt64})
			require.NoError(t, err)
			data, err := io.ReadAll(obj.Body)
			require.NoError(t, err)
			assert.Equal(t, want, string(data))
			require.NoError(t, obj.Body.Close())
		}
	})
	t.Run("no size", func(t *testing.T) {
		server := newWebServer(t)
		server.hook = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			http.NewResponseController(w).Flush()
			if r.Method == "GET" {
				io.WriteString(w, "0123456789")
			}
			return true
		}
		b := server.open(t)
		data, _, err := blob.ReadAll(t.Context(), b, "key", 10)
		require.NoError(t, err)
		assert.Equal(t, "0123456789", string(data))
		_, _, err = blob.ReadAll(t.Context(), b, "key", 9)
		require.ErrorIs(t, err, blob.ErrTooLarge)
		attrs, err := b.Head(t.Context(), "key")
		require.NoError(t, err)
		assert.EqualValues(t, -1, attrs.Size)
	})
}
