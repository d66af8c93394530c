package httpblob_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/httpblob"
)

func TestOpenErrors(t *testing.T) {
	for name, address := range map[string]string{
		"no URL":         "http://user:hunter2@%zz/",
		"another scheme": "ftp://user:hunter2@host/",
		"no host":        "http:///path",
		"a path":         "/cache",
		"query":          "https://user:hunter2@host/?x=y",
		"fragment":       "https://user:hunter2@host/#x",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := httpblob.Open(address, httpblob.Options{})
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
	_, err := httpblob.Open("https://host/", httpblob.Options{Netrc: filepath.Join(t.TempDir(), "absent")})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAddresses(t *testing.T) {
	server := newWebServer(t)
	b := server.open(t)
	for key, want := range map[string]string{
		"nix-cache-info":                     "/cache/nix-cache-info",
		"realisations/sha256:ab!out.doi":     "/cache/realisations/sha256:ab!out.doi",
		"log/gtk+-3.0.drv":                   "/cache/log/gtk%2B-3.0.drv",
		"a b?c#d%e":                          "/cache/a%20b%3Fc%23d%25e",
		"ä":                                  "/cache/%C3%A4",
		"nar/0123.nar.xz":                    "/cache/nar/0123.nar.xz",
		"build-trace-v2/x-1.drv/out=all.doi": "/cache/build-trace-v2/x-1.drv/out=all.doi",
	} {
		server.requests = nil
		_, err := b.Head(t.Context(), key)
		require.ErrorIs(t, err, blob.ErrNotFound)
		assert.Equal(t, want, server.seen()[0].RequestURI)
	}
	server.requests = nil
	for _, key := range []string{"", ".", "..", "../secret", "a/../b", "a//b", "/a", "a/"} {
		_, err := b.Head(t.Context(), key)
		require.ErrorIs(t, err, blob.ErrNotFound, "%q", key)
		_, err = b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{})
		require.ErrorIs(t, err, blob.ErrInvalidKey, "%q", key)
		require.NoError(t, b.Delete(t.Context(), key))
	}
	assert.Empty(t, server.seen(), "such keys are not sent")
	assert.Equal(t, server.URL+"/cache", b.String())
}

func TestGetRef(t *testing.T) {
	server := newWebServer(t)
	server.store("nar/x.nar", []byte("inside"), nil)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		fmt.Fprintf(w, "%s user=%s token=%s", r.URL, user, r.Header.Get("X-Token"))
	}))
	defer other.Close()
	server.hook = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/elsewhere") {
			fmt.Fprintf(w, "%s", r.URL)
			return true
		}
		return false
	}
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	b, err := httpblob.Open("http://me:secret@"+base.Host+"/cache", httpblob.Options{Header: http.Header{"X-Token": {"secret"}}})
	require.NoError(t, err)
	defer b.Close()
	for ref, want := range map[string]string{
		"nar/x.nar":                "inside",
		"nar/x.nar?hash=y#z":       "inside",
		"../elsewhere/x.nar?h=1":   "/elsewhere/x.nar?h=1",
		"/elsewhere/y":             "/elsewhere/y",
		other.URL + "/x.nar?a=b&c": "/x.nar?a=b&c user= token=",
	} {
		obj, err := b.GetRef(t.Context(), ref, blob.GetOptions{})
		require.NoError(t, err, ref)
		got := make([]byte, 100)
		n, _ := obj.Body.Read(got)
		require.NoError(t, obj.Body.Close())
		assert.Equal(t, want, string(got[:n]), ref)
	}
	for _, ref := range []string{"file:///etc/passwd", "ftp://host/x", "http:///x", "mailto:x", "%zz", "http://%zz/"} {
		_, err := b.GetRef(t.Context(), ref, blob.GetOptions{})
		require.ErrorIs(t, err, blob.ErrNotFound, ref)
	}
	secure, err := httpblob.Open("https://"+base.Host+"/cache", httpblob.Options{})
	require.NoError(t, err)
	_, err = secure.GetRef(t.Context(), other.URL+"/x", blob.GetOptions{})
	require.ErrorContains(t, err, "from https to http")
}

func TestRedirects(t *testing.T) {
	server := newWebServer(t)
	server.store("there", []byte("content"), nil)
	var elsewhere []*http.Request
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r)
		fmt.Fprint(w, "elsewhere")
	}))
	defer other.Close()
	server.hook = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/cache/moved":
			http.Redirect(w, r, "/cache/there", http.StatusTemporaryRedirect)
		case "/cache/found":
			http.Redirect(w, r, "/cache/there", http.StatusFound)
		case "/cache/loop":
			http.Redirect(w, r, "/cache/loop", http.StatusFound)
		case "/cache/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		default:
			return false
		}
		return true
	}
	b := server.open(t, func(o *httpblob.Options) { o.Header = http.Header{"X-Token": {"secret"}} })
	for _, key := range []string{"moved", "found"} {
		data, _, err := blob.ReadAll(t.Context(), b, key, 100)
		require.NoError(t, err)
		assert.Equal(t, "content", string(data))
	}
	_, err := b.Put(t.Context(), "moved", strings.NewReader("new"), blob.PutOptions{})
	require.NoError(t, err)
	assert.Equal(t, "new", string(server.objects["there"].body))

	server.requests = nil
	_, err = b.Put(t.Context(), "found", strings.NewReader("newer"), blob.PutOptions{})
	require.ErrorContains(t, err, "makes GET of PUT")
	_, err = b.Get(t.Context(), "loop", blob.GetOptions{})
	require.ErrorContains(t, err, "more than 10 redirects")
	assert.Len(t, server.seen(), 1+11, "and no retries")

	_, _, err = blob.ReadAll(t.Context(), b, "away", 100)
	require.NoError(t, err)
	require.Len(t, elsewhere, 1)
	assert.Empty(t, elsewhere[0].Header.Get("X-Token"))
}

func TestLogins(t *testing.T) {
	netrc := filepath.Join(t.TempDir(), "netrc")
	require.NoError(t, os.WriteFile(netrc, []byte(`
# machine 127.0.0.1 login wrong password wrong
machine other.example login other password other
machine 127.0.0.1
  login file account x password pass#word
machine 127.0.0.1 login second password second
macdef init
machine 127.0.0.1 login macro password macro

default login anyone password anything
`), 0o600))
	server := newWebServer(t)
	host := strings.TrimPrefix(server.URL, "http://")
	for _, tt := range []struct {
		name, address, netrc, wantUser, wantPassword string
	}{
		{"none", "http://" + host, "", "", ""},
		{"URL", "http://me:p%40ss@" + host, "", "me", "p@ss"},
		{"netrc", "http://" + host, netrc, "file", "pass#word"},
		{"URL before netrc", "http://me:pass@" + host, netrc, "me", "pass"},
		{"no default", "http://localhost" + host[strings.IndexByte(host, ':'):], netrc, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := httpblob.Open(tt.address+"/cache", httpblob.Options{Netrc: tt.netrc})
			require.NoError(t, err)
			defer b.Close()
			server.requests = nil
			_, err = b.Head(t.Context(), "key")
			require.ErrorIs(t, err, blob.ErrNotFound)
			assert.NotContains(t, err.Error()+b.String(), "p@ss")
			user, password, _ := server.seen()[0].BasicAuth()
			assert.Equal(t, tt.wantUser, user)
			assert.Equal(t, tt.wantPassword, password)
		})
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.TLS.PeerCertificates), " certificates")
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	b, err := httpblob.Open(server.URL, httpblob.Options{TLS: &tls.Config{RootCAs: roots, Certificates: server.TLS.Certificates}})
	require.NoError(t, err)
	defer b.Close()
	data, _, err := blob.ReadAll(t.Context(), b, "key", 100)
	require.NoError(t, err)
	assert.Equal(t, "1 certificates", string(data))

	stranger, err := httpblob.Open(server.URL, httpblob.Options{})
	require.NoError(t, err)
	defer stranger.Close()
	_, err = stranger.Head(t.Context(), "key")
	require.ErrorContains(t, err, "certificate")
}

func TestRequestsAreNotCompressed(t *testing.T) {
	server := newWebServer(t)
	_, err := server.open(t).Head(t.Context(), "key")
	require.ErrorIs(t, err, blob.ErrNotFound)
	assert.Empty(t, server.seen()[0].Header.Get("Accept-Encoding"))
}

func FuzzKey(f *testing.F) {
	for _, key := range []string{"nar/x.nar", "a b+c?d#e%f", "../x", "//host/x", "\\x", "http://host/"} {
		f.Add(key)
	}
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { path = r.URL.Path }))
	f.Cleanup(server.Close)
	b, err := httpblob.Open(server.URL+"/cache", httpblob.Options{})
	require.NoError(f, err)
	f.Cleanup(func() { b.Close() })
	f.Fuzz(func(t *testing.T, key string) {
		path = ""
		_, err := b.Head(t.Context(), key)
		if err != nil {
			require.ErrorIs(t, err, blob.ErrNotFound)
			require.Empty(t, path)
			return
		}
		require.Equal(t, "/cache/"+key, path)
	})
}
