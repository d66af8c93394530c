package serve_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/serve"
)

// faultyNetwork stands between a client and a gateway. It lets every third
// request fail in one of the ways of networks.
type faultyNetwork struct {
	*httptest.Server
	requests, failed atomic.Int64
}

func newFaultyNetwork(t testing.TB, to string, every int64) *faultyNetwork {
	u, err := url.Parse(to)
	require.NoError(t, err)
	n := &faultyNetwork{}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ErrorLog = quiet
	n.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := n.requests.Add(1)
		if every == 0 || i%every != 0 || r.Method == http.MethodPut {
			proxy.ServeHTTP(w, r)
			return
		}
		if n.failed.Add(1)%2 == 0 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		// The answer breaks off in the middle.
		resp, err := http.DefaultTransport.RoundTrip(redirected(r, u))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.CopyN(w, resp.Body, resp.ContentLength/2)
		panic(http.ErrAbortHandler)
	}))
	n.Config.ErrorLog = quiet
	n.Start()
	t.Cleanup(n.Close)
	return n
}

func redirected(r *http.Request, to *url.URL) *http.Request {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = to.Scheme, to.Host, ""
	return out
}

// nixRoundTrip pushes a closure with a real Nix through a gateway, with netrc
// and signatures required, and reads it with another through a faulty network.
func nixRoundTrip(t *testing.T, cacheURL string, redirect *serve.Redirect) {
	writer, reader := lab.NewNix(t), lab.NewNix(t)
	secret, public := writer.GenerateKey("pusher-1")
	keys, err := narinfo.ParseTrustedKeys(public)
	require.NoError(t, err)
	token, hash := serve.NewToken()
	tokens := tokenFile(t, "ci read,push "+hash)
	registry := prometheus.NewRegistry()
	g := newGateway(t, openCache(t, cacheURL), serve.Options{
		Registerer: registry,
		Push:       &serve.Push{TrustedKeys: keys}, Redirect: redirect,
		Auth: &serve.Auth{Verifiers: []serve.TokenVerifier{tokens}},
	})
	netrc := filepath.Join(t.TempDir(), "netrc")
	address := strings.TrimPrefix(g.URL, "http://")
	host, _, _ := strings.Cut(address, ":")
	require.NoError(t, os.WriteFile(netrc, []byte("machine "+host+" login nix password "+token+"\n"), 0o600))
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))

	big := filepath.Join(t.TempDir(), "big")
	data := make([]byte, 3<<20)
	random := rand.New(rand.NewPCG(1, uint64(os.Getpid())))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	require.NoError(t, os.WriteFile(big, data, 0o644))
	blob := writer.Run("nix-store", "--add", big)
	expr := `derivation { name = "user"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${builtins.storePath "` + blob + `"} > $out" ]; }`
	user := writer.Run("nix-build", "--no-out-link", "--expr", expr)
	fixed := []string{"--option", "netrc-file", netrc}

	require.NotZero(t, writer.Try("nix", "copy", "--to", g.URL, user, "--option", "netrc-file", empty).Exit, "without a token")
	require.NotZero(t, writer.Try(append([]string{"nix", "copy", "--to", g.URL, user}, fixed...)...).Exit, "without a signature")
	writer.ForgetCaches()
	writer.Run("nix", "store", "sign", "--recursive", "--key-file", secret, user)
	for _, compression := range []string{"xz", "zstd"} {
		writer.ForgetCaches()
		writer.Run(append([]string{"nix", "copy", "--to", g.URL + "?write-nar-listing=true&compression=" + compression, user}, fixed...)...)
	}

	if redirect != nil && redirect.Pushes && strings.HasPrefix(t.Name(), "TestNixServers/minio") {
		assert.Positive(t, counted(t, registry, "nixs3_serve_requests_total", "307"))
	}

	network := newFaultyNetwork(t, g.URL, 3)
	from := g.URL
	if redirect == nil {
		from = network.URL
	}
	reader.Run(append([]string{"nix", "copy", "--from", from, user, "--option", "require-sigs", "true", "--option", "trusted-public-keys", public}, fixed...)...)
	require.Equal(t, writer.Run("nix-store", "--dump", writer.Physical(user)), reader.Run("nix-store", "--dump", reader.Physical(user)))
	require.Equal(t, writer.Run("nix-store", "--dump", writer.Physical(blob)), reader.Run("nix-store", "--dump", reader.Physical(blob)))
	if redirect == nil {
		assert.Positive(t, network.failed.Load())
	}
	r := reader.Try(append([]string{"nix", "path-info", "--store", from, "/nix/store/00000000000000000000000000000000-absent"}, fixed...)...)
	require.NotZero(t, r.Exit)
}

// counted sums up the counters with a name and a label.
func counted(t *testing.T, registry *prometheus.Registry, name, label string) (n float64) {
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetValue() == label {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

func TestNixDirectory(t *testing.T) {
	nixRoundTrip(t, "file://"+filepath.Join(t.TempDir(), "cache"), nil)
}

// TestNixServers uses the S3 servers of the lab, with and without redirects.
func TestNixServers(t *testing.T) {
	for _, server := range lab.Servers(t) {
		if strings.HasSuffix(server.Name, "-tls") {
			continue
		}
		t.Run(server.Name, func(t *testing.T) {
			nixRoundTrip(t, server.URL(t)+"&multipart-upload=true", nil)
		})
		t.Run(server.Name+" with redirects", func(t *testing.T) {
			nixRoundTrip(t, strings.Replace(server.URL(t), "127.0.0.1", "localhost", 1), &serve.Redirect{})
		})
		t.Run(server.Name+" with redirected pushes", func(t *testing.T) {
			nixRoundTrip(t, strings.Replace(server.URL(t), "127.0.0.1", "localhost", 1), &serve.Redirect{Pushes: true})
		})
	}
}

// TestNixKeepsCredentials follows redirects with a real Nix: the host of the
// bucket gets no credentials of the gateway's.
func TestNixKeepsCredentials(t *testing.T) {
	n := lab.NewNix(t)
	dir := lab.Cache(t, "full-xz")
	var gets, told atomic.Int64
	files := http.FileServer(http.Dir(dir))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gets.Add(1)
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || strings.Contains(r.URL.String(), "secret") {
			told.Add(1)
		}
		files.ServeHTTP(w, r)
	}))
	defer elsewhere.Close()
	source := openCache(t, "file://"+dir)
	host := strings.Replace(elsewhere.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	c, err := store.New(presigning{Bucket: source.Bucket(), host: host, scheme: "http"}, store.Settings{})
	require.NoError(t, err)
	secret, hash := serve.NewToken()
	tokens := tokenFile(t, "ci read "+hash)
	g := newGateway(t, c, serve.Options{Redirect: &serve.Redirect{}, Auth: &serve.Auth{Verifiers: []serve.TokenVerifier{tokens}}})
	netrc := filepath.Join(t.TempDir(), "netrc")
	require.NoError(t, os.WriteFile(netrc, []byte("machine 127.0.0.1 login nix password "+secret+"\n"), 0o600))
	path := storepath.Default.Join(anyNarInfo(t, source).Path)
	n.Run("nix", "copy", "--from", g.URL, path, "--option", "netrc-file", netrc, "--option", "trusted-public-keys", lab.PublicKey(t))
	assert.Positive(t, gets.Load())
	assert.Zero(t, told.Load())
}
