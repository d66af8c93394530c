package httpblob_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/httpblob"
)

// TestSecretsStayHere: credentials go to the scheme, host and port of the cache,
// whatever redirects and references say, and no message has them.
func TestSecretsStayHere(t *testing.T) {
	type seen struct{ authorization, token, referer string }
	var requests []seen
	var location string
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		requests = append(requests, seen{r.Header.Get("Authorization"), r.Header.Get("X-Token"), r.Header.Get("Referer")})
		resp := &http.Response{StatusCode: 200, Header: make(http.Header), Body: http.NoBody, Request: r}
		if len(requests) == 1 && location != "" {
			resp.StatusCode = 307
			resp.Header.Set("Location", location)
		}
		return resp, nil
	})
	netrc := filepath.Join(t.TempDir(), "netrc")
	require.NoError(t, os.WriteFile(netrc, []byte("machine cache.example login nobody password netrc-secret\nmachine other.example login nobody password netrc-secret"), 0o600))
	for _, tt := range []struct {
		base, location string
		home, netrc    bool // whether the second request has the cache's own, or those of the netrc file
	}{
		{"https://me:url-secret@cache.example/", "/elsewhere", true, false},
		{"https://me:url-secret@cache.example/", "https://CACHE.example:443/x?sig=presigned", true, false},
		{"https://me:url-secret@cache.example/", "https://cache.example:8443/x", false, false},
		{"https://me:url-secret@cache.example/", "https://sub.cache.example/x", false, false},
		{"https://me:url-secret@cache.example/", "https://you:login@sub.cache.example/x", false, false},
		{"https://me:url-secret@cache.example/", "https://example/x", false, false},
		{"https://me:url-secret@cache.example/", "https://cache.example.evil.example/x", false, false},
		{"https://me:url-secret@cache.example/", "https://other.example/x", false, true},
		{"https://me:url-secret@cache.example/", "https://other.example:8443/x", false, false},
		{"http://me:url-secret@cache.example/", "https://cache.example/x", false, true},
		{"http://me:url-secret@cache.example/", "http://cache.example:8080/x", false, false},
		{"http://me:url-secret@cache.example/", "http://other.example/x", false, false},
		{"http://me:url-secret@cache.example/", "http://cache.example:80/x", true, false},
	} {
		for _, way := range []string{"redirect", "reference"} {
			t.Run(way+" from "+tt.base+" to "+tt.location, func(t *testing.T) {
				requests, location = nil, ""
				b, err := httpblob.Open(tt.base, httpblob.Options{Transport: transport, Netrc: netrc, Header: http.Header{"X-Token": {"header-secret"}}})
				require.NoError(t, err)
				defer b.Close()
				if way == "redirect" {
					location = tt.location
					_, err = b.Get(t.Context(), "key", blob.GetOptions{})
				} else {
					_, err = b.GetRef(t.Context(), tt.location, blob.GetOptions{})
				}
				require.NoError(t, err)
				last := requests[len(requests)-1]
				assert.Empty(t, last.referer)
				assert.Equal(t, tt.home, last.token != "")
				assert.Equal(t, tt.home || tt.netrc, last.authorization != "")
			})
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNothingPrintsSecrets(t *testing.T) {
	fails := roundTripper(func(r *http.Request) (*http.Response, error) { return nil, errors.New("no network") })
	opts := httpblob.Options{Transport: fails, Header: http.Header{"Authorization": {"Bearer hunter2"}}, Retry: blob.Retry{Attempts: 1}}
	b, err := httpblob.Open("https://me:hunter2@cache.example/", opts)
	require.NoError(t, err)
	defer b.Close()
	type inside struct{ B *httpblob.Bucket }
	type insideOptions struct{ O httpblob.Options }
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{b, opts, &opts, inside{b}, &inside{b}, insideOptions{opts}, []httpblob.Options{opts}} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
	}
	for _, ref := range []string{
		"https://other.example/x?X-Amz-Signature=hunter2", "https://me:hunter2@other.example/x", "x?hunter2", "x#hunter2",
		"https://me:hunter2@[bad/x", "//me:hunter2@%zz/x", "ftp://me:hunter2@host/", "https://me:p@hunter2@host/",
	} {
		_, err := b.GetRef(t.Context(), ref, blob.GetOptions{})
		require.Error(t, err)
		printed = append(printed, err.Error())
	}
	for _, text := range printed {
		assert.NotContains(t, text, "hunter2")
	}
	for _, location := range []string{"https://me:hunter2@%zz/?sig=hunter2", "http://other.example/?sig=hunter2", "ftp://hunter2", "https://a b/hunter2"} {
		redirects := roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 307, Header: http.Header{"Location": {location}}, Body: http.NoBody, Request: r}, nil
		})
		b, err := httpblob.Open("https://cache.example/", httpblob.Options{Transport: redirects})
		require.NoError(t, err)
		_, err = b.Head(t.Context(), "key")
		require.ErrorContains(t, err, "redirected")
		assert.NotContains(t, strings.ReplaceAll(err.Error(), "ftp://hunter2", ""), "hunter2")
	}
}
