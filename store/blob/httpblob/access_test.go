package httpblob_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
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

// TestLoginsChange: what files say counts as it is now.
func TestLoginsChange(t *testing.T) {
	dir := t.TempDir()
	netrc, header := filepath.Join(dir, "netrc"), filepath.Join(dir, "header")
	var last *http.Request
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		last = r
		return &http.Response{StatusCode: 200, Header: make(http.Header), Body: http.NoBody, Request: r}, nil
	})
	for i, password := range []string{"a", "bb", "ccc"} {
		require.NoError(t, os.WriteFile(netrc, []byte("machine Cache.Example login me password "+password), 0o600))
		require.NoError(t, os.WriteFile(header, []byte("X-Token: "+password), 0o600))
		if i == 0 {
			t.Setenv("HOME", "/nonexistent")
		}
		b, err := httpblob.Open("http://cache.example/", httpblob.Options{Transport: transport, Netrc: netrc, HeaderFile: header})
		require.NoError(t, err)
		for _, again := range []string{password, password + "x"} {
			require.NoError(t, os.WriteFile(netrc, []byte("machine cache.example login me password "+again), 0o600))
			require.NoError(t, os.WriteFile(header, []byte("X-Token: "+again), 0o600))
			_, err = b.Head(t.Context(), "key")
			require.NoError(t, err)
			_, got, _ := last.BasicAuth()
			assert.Equal(t, again, got)
			assert.Equal(t, again, last.Header.Get("X-Token"))
		}
		require.NoError(t, b.Close())
	}
}

func TestHeaderFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "headers")
	for _, text := range []string{"hunter2", "Name hunter2", ": hunter2", "A: x\nhunter2", "Na me: hunter2", "A: b\x00hunter2"} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := httpblob.Open("http://cache.example/", httpblob.Options{HeaderFile: file})
		require.ErrorContains(t, err, "is not a header", text)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	_, err := httpblob.Open("http://cache.example/", httpblob.Options{HeaderFile: file + ".absent"})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestEnvironment reads the netrc files that Nix and other tools read.
func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	login := func() string {
		var user string
		b, err := httpblob.Open("http://cache.example/", httpblob.Options{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			user, _, _ = r.BasicAuth()
			return &http.Response{StatusCode: 200, Header: make(http.Header), Body: http.NoBody, Request: r}, nil
		})})
		require.NoError(t, err)
		defer b.Close()
		_, err = b.Head(t.Context(), "key")
		require.NoError(t, err)
		return user
	}
	t.Setenv("HOME", filepath.Join(dir, "home"))
	t.Setenv("USERPROFILE", filepath.Join(dir, "home"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	t.Setenv("NIX_CONF_DIR", filepath.Join(dir, "nix"))
	t.Setenv("NIX_CONFIG", "")
	assert.Empty(t, login())
	entry := func(user string) string { return "machine cache.example login " + user + " password x" }
	write("home/.netrc", entry("home"))
	assert.Equal(t, "home", login())
	write("nix/netrc", entry("default"))
	assert.Equal(t, "default", login())
	write("nix/one", entry("one"))
	write("nix/nix.conf", "!include more.conf\n# netrc-file = /x\nnetrc-file = "+filepath.Join(dir, "nix/one")+" # comment\n")
	assert.Equal(t, "one", login())
	write("user", entry("user"))
	write("config/nix/nix.conf", "netrc-file = "+filepath.Join(dir, "user"))
	assert.Equal(t, "user", login())
	t.Setenv("NIX_USER_CONF_FILES", filepath.Join(dir, "absent"))
	assert.Equal(t, "one", login())
	write("two", entry("two"))
	t.Setenv("NIX_CONFIG", "max-jobs = 1\nnetrc-file = "+filepath.Join(dir, "two"))
	assert.Equal(t, "two", login())
	write("two", "machine another.example login x password x")
	assert.Equal(t, "home", login(), "the next file")
}

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
	server := newWebServer(t)
	var expected []string
	server.hook = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		expected = append(expected, r.Header.Get("Expect"))
		if r.Header.Get("Expect") != "" {
			w.WriteHeader(http.StatusExpectationFailed)
			return true
		}
		return false
	}
	b := server.open(t, func(o *httpblob.Options) { o.Retry.Attempts = 1 })
	data := make([]byte, 2<<20)
	for range 2 {
		_, err := b.Put(t.Context(), "key", bytes.NewReader(data), blob.PutOptions{})
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"100-continue", "", ""}, expected)
}
