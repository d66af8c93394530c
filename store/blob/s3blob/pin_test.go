package s3blob_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/storetest/fakes3"
)

// TestPinsContent asks servers that enforce, refuse and ignore the hash of a
// presigned URL.
func TestPinsContent(t *testing.T) {
	for pins, want := range map[fakes3.Pins]bool{fakes3.PinsEnforced: true, fakes3.PinsRefused: false, fakes3.PinsIgnored: false} {
		server := newFake(t, fakes3.Options{Pins: pins})
		b := open(t, server, "/cache?", s3blob.Options{})
		got, err := b.PinsContent(t.Context(), "probe")
		require.NoError(t, err)
		assert.Equal(t, want, got)
		if want {
			tryPins(t, b)
		}
	}
	server := newFake(t, fakes3.Options{Pins: fakes3.PinsEnforced})
	server.Inject(fakes3.Fault{Op: "PutObject", Status: 503, Code: "SlowDown", Times: -1})
	_, err := open(t, server, "/cache?", s3blob.Options{}).PinsContent(t.Context(), "probe")
	require.ErrorContains(t, err, "503")
	for _, parameters := range []string{"storage-class=STANDARD_IA", "sse=AES256"} {
		b := open(t, server, "/cache?"+parameters, s3blob.Options{})
		_, err := b.PresignContent(t.Context(), "key", [32]byte{}, time.Minute)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		got, err := b.PinsContent(t.Context(), "probe")
		require.NoError(t, err)
		assert.False(t, got)
	}
}

// TestPinsContentOnServers holds servers to what is known of them.
func TestPinsContentOnServers(t *testing.T) {
	for _, server := range lab.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			b := openServer(t, server, "", s3blob.Options{})
			defer b.Close()
			got, err := b.PinsContent(t.Context(), "probe")
			require.NoError(t, err)
			switch name, _, _ := strings.Cut(server.Name, "-"); name {
			case "minio":
				assert.True(t, got)
			case "versitygw":
				assert.False(t, got)
			}
			if got && !strings.HasSuffix(server.Name, "-tls") {
				tryPins(t, b)
			}
		})
	}
}

// tryPins sends what a URL allows and what it does not.
func tryPins(t *testing.T, b *s3blob.Bucket) {
	t.Helper()
	const key, content = "nar/a+b c", "the content"
	address, err := b.PresignContent(t.Context(), key, sha256.Sum256([]byte(content)), time.Minute)
	require.NoError(t, err)
	put := func(address, text string, header http.Header) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address, strings.NewReader(text))
		require.NoError(t, err)
		for name, values := range header {
			r.Header[name] = values
		}
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.StatusCode
	}
	defer http.DefaultClient.CloseIdleConnections()
	u, err := url.Parse(address)
	require.NoError(t, err)
	q := u.Query()
	q.Del("X-Amz-Content-Sha256")
	for name, try := range map[string]struct {
		address, text string
		header        http.Header
	}{
		"other content":            {address, "other words", nil},
		"nothing":                  {address, "", nil},
		"hash of the other":        {address, "other words", http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}},
		"without the hash":         {strings.Replace(address, u.RawQuery, q.Encode(), 1), "other words", nil},
		"with a hash of their own": {strings.Replace(address, q.Get("X-Amz-Signature"), strings.Repeat("0", 64), 1), content, nil},
	} {
		status := put(try.address, try.text, try.header)
		assert.GreaterOrEqual(t, status, 400, name)
		_, err := b.Head(t.Context(), key)
		require.ErrorIs(t, err, blob.ErrNotFound, name)
	}
	require.Equal(t, http.StatusOK, put(address, content, http.Header{"Content-Type": {"application/x-nix-nar"}}))
	requireObject(t, b, key, []byte(content))
}
