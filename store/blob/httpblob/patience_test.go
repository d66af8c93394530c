package httpblob_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/httpblob"
	"example.com/nixs3/store/blob/internal/siege"
)

// TestSlowIsNotStalled: what takes long and goes on is waited for, and sent once.
func TestSlowIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &siege.Server{Good: func(r *http.Request) (int, http.Header, string) {
			time.Sleep(4 * time.Minute)
			return 200, nil, "content"
		}}
		puts := 0
		transport := server.Transport()
		defer transport.CloseIdleConnections()
		b, err := httpblob.Open("http://cache.example", httpblob.Options{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			puts++
			return transport.RoundTrip(r)
		})})
		require.NoError(t, err)
		_, err = b.Put(t.Context(), "key", strings.NewReader("content"), blob.PutOptions{})
		require.NoError(t, err)
		assert.Equal(t, 1, puts)
		data, _, err := blob.ReadAll(t.Context(), b, "key", 100)
		require.NoError(t, err)
		assert.Equal(t, "content", string(data))
	})
}

func TestExpectationFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var expected []string
		server := &siege.Server{Good: func(r *http.Request) (int, http.Header, string) {
			expected = append(expected, r.Header.Get("Expect"))
			if r.Header.Get("Expect") != "" {
				return 417, nil, ""
			}
			return 200, nil, ""
		}}
		transport := server.Transport()
		defer transport.CloseIdleConnections()
		b, err := httpblob.Open("http://cache.example", httpblob.Options{Transport: transport, Retry: blob.Retry{Attempts: 1}})
		require.NoError(t, err)
		for range 2 {
			_, err := b.Put(t.Context(), "key", bytes.NewReader(make([]byte, 2<<20)), blob.PutOptions{})
			require.NoError(t, err)
		}
		assert.Equal(t, []string{"100-continue", "", ""}, expected)
	})
}

func TestStalledBodyResumes(t *testing.T) {
	for name, always := range map[string]bool{"once": false, "always": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ranges []string
				server := &siege.Server{
					Answer: siege.Answer{Do: func(c *siege.Conn, r *http.Request) {
						fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"etag\"\r\n\r\n0123")
						io.Copy(io.Discard, c)
					}},
					Good: func(r *http.Request) (int, http.Header, string) {
						ranges = append(ranges, r.Header.Get("Range"))
						if always || len(ranges) == 1 {
							return 0, nil, ""
						}
						return 206, http.Header{"Etag": {`"etag"`}, "Content-Range": {"bytes 4-9/10"}}, "456789"
					},
				}
				transport := server.Transport()
				defer transport.CloseIdleConnections()
				b, err := httpblob.Open("http://cache.example", httpblob.Options{Transport: transport, Retry: blob.Retry{Attempts: 3}})
				require.NoError(t, err)
				data, _, err := blob.ReadAll(t.Context(), b, "key", 100)
				if always {
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
					require.ErrorIs(t, err, blob.ErrStalled)
					require.NotErrorIs(t, err, context.Canceled, "nobody cancelled")
					require.ErrorContains(t, err, "the server sent nothing more for 5m0s")
					assert.Len(t, ranges, 3)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, "0123456789", string(data))
				assert.Equal(t, []string{"", "bytes=4-9"}, ranges)
			})
		})
	}
}
