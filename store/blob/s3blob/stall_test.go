package s3blob_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/siege"
	"example.com/nixs3/store/blob/s3blob"
)

// stalling sends four bytes of ten and no more.
func stalling(header string) siege.Answer {
	return siege.Answer{Do: func(c *siege.Conn, r *http.Request) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n%s\r\n0123", header)
		io.Copy(io.Discard, c)
	}}
}

func TestStalledBodyResumes(t *testing.T) {
	for name, header := range map[string]string{"etag": "ETag: \"etag\"\r\n", "nothing to prove that it is the same": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ranges []string
				server := &siege.Server{Answer: stalling(header), Good: func(r *http.Request) (int, http.Header, string) {
					ranges = append(ranges, r.Header.Get("Range"))
					if len(ranges) == 1 {
						return 0, nil, ""
					}
					return 206, http.Header{"Etag": {`"etag"`}, "Content-Range": {"bytes 4-9/10"}}, "456789"
				}}
				transport := server.Transport()
				defer transport.CloseIdleConnections()
				client := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String("http://s3.example"), UsePathStyle: true, HTTPClient: &http.Client{Transport: transport}})
				b := s3blob.New(client, "bucket", "", s3blob.Options{})
				begin := time.Now()
				got, _, err := blob.ReadAll(t.Context(), b, "object", 10)
				if header == "" {
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
					require.ErrorIs(t, err, blob.ErrStalled)
					require.ErrorContains(t, err, "the server sent nothing more for 5m0s")
					return
				}
				require.NoError(t, err)
				assert.Equal(t, "0123456789", string(got))
				assert.Equal(t, []string{"", "bytes=4-9"}, ranges)
				assert.InDelta(t, 5*time.Minute, time.Since(begin), float64(time.Second))
			})
		})
	}
}

func TestExpectationFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var expected []string
		server := &siege.Server{Good: func(r *http.Request) (int, http.Header, string) {
			expected = append(expected, r.Header.Get("Expect"))
			if r.Header.Get("Expect") != "" {
				return 417, nil, ""
			}
			return 200, http.Header{"Etag": {`"etag"`}}, ""
		}}
		transport := server.Transport()
		defer transport.CloseIdleConnections()
		client := s3.New(s3.Options{
			Region: "us-east-1", BaseEndpoint: aws.String("http://s3.example"), UsePathStyle: true,
			HTTPClient: &http.Client{Transport: transport}, RetryMaxAttempts: 1,
		})
		b := s3blob.New(client, "bucket", "", s3blob.Options{})
		for range 2 {
			put(t, b, "key", make([]byte, 3<<20), blob.PutOptions{})
		}
		assert.Equal(t, []string{"100-continue", "", ""}, expected)
	})
}
