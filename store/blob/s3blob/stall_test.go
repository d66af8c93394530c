package s3blob

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
)

func TestStalledBodyResumes(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"etag"`)
		if requests.Add(1) > 1 {
			assert.Equal(t, "bytes=4-9", r.Header.Get("Range"))
			w.Header().Set("Content-Range", "bytes 4-9/10")
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "456789")
			return
		}
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "0123")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	client := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(server.URL), UsePathStyle: true})
	b := New(client, "bucket", "", Options{Retry: blob.Retry{Stall: 50 * time.Millisecond, Delay: 1}})
	got, _, err := blob.ReadAll(t.Context(), b, "object", 10)
	require.NoError(t, err)
	assert.Equal(t, "0123456789", string(got))
	assert.EqualValues(t, 2, requests.Load())
}

func TestStalledBodyFails(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10") // and no ETag to resume with
		io.WriteString(w, "0123")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	client := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(server.URL), UsePathStyle: true})
	b := New(client, "bucket", "", Options{Retry: blob.Retry{Stall: 50 * time.Millisecond, Delay: 1}})
	_, _, err := blob.ReadAll(t.Context(), b, "object", 10)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "the server sent nothing more")
}
