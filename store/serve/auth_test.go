package serve_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/serve"
)

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestAccess is a table of clients, requests and rules.
func TestAccess(t *testing.T) {
	reader, readerHash := serve.NewToken()
	pusher, pusherHash := serve.NewToken()
	file := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(file, []byte("# people\n\nreader read "+readerHash+"\npusher read,push "+pusherHash+"\n"), 0o600))
	tokens, err := serve.OpenTokenFile(file, nil)
	require.NoError(t, err)
	for _, tt := range []struct {
		name      string
		anonymous serve.Access
		header    string
		get, put  int
	}{
		{"nobody, closed", 0, "", 401, 401},
		{"nobody, open for reading", serve.AccessRead, "", 200, 401},
		{"reader", 0, basic("any", reader), 200, 403},
		{"reader without a user", 0, basic("", reader), 200, 403},
		{"pusher", 0, basic("x", pusher), 200, 200},
		{"bearer", 0, "Authorization: Bearer " + pusher, 200, 200},
		{"bearer in lower case", 0, "Authorization: bearer " + pusher, 200, 200},
		{"wrong token", 0, basic("pusher", "wrong"), 401, 401},
		{"wrong token, open for reading", serve.AccessRead, basic("pusher", "wrong"), 200, 401},
		{"empty token", 0, basic("pusher", ""), 401, 401},
		{"the hash itself", 0, basic("pusher", pusherHash), 401, 401},
		{"the token as the user", 0, basic(pusher, ""), 401, 401},
		{"another scheme", 0, "Authorization: Digest " + pusher, 401, 401},
		{"malformed", 0, "Authorization: Basic !!!", 401, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := openCache(t, "file://"+lab.Cache(t, "none"))
			g := newGateway(t, c, serve.Options{Push: &serve.Push{}, Auth: &serve.Auth{Anonymous: tt.anonymous, Verifiers: []serve.TokenVerifier{tokens}}})
			for _, method := range []string{"GET", "HEAD", "PUT"} {
				want := tt.get
				if method == "PUT" {
					want = tt.put
				}
				got := g.do(t, method, "/nix-cache-info", strings.NewReader("StoreDir: /nix/store\n"), tt.header)
				assert.Equal(t, want, got.status, method)
				if want == 401 {
					assert.Contains(t, strings.Join(got.header.Values("WWW-Authenticate"), " "), "Basic realm=")
				}
				if method == "GET" && want == 200 {
					assert.Equal(t, tt.anonymous != 0, strings.HasPrefix(got.header.Get("Cache-Control"), "public"))
				}
			}
			assert.Equal(t, tt.get, g.get(t, "/unknown", tt.header).status+map[bool]int{true: -204}[tt.get == 200], "only readers learn what exists")
			assert.Equal(t, 200, g.get(t, "/healthz").status)
		})
	}
}

func TestTokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	for text, want := range map[string]string{
		"x read": "line 1", "x read sha256:00": "line 1", "\nx write sha256:" + strings.Repeat("0", 64): "line 2",
		"x read md5:" + strings.Repeat("0", 64): "sha256:", "x read sha256:" + strings.Repeat("g", 64): "sha256:",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := serve.OpenTokenFile(file, nil)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), strings.Repeat("0", 64))
	}
	_, err := serve.OpenTokenFile(filepath.Join(t.TempDir(), "absent"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestTokensAreReloaded takes a changed file, and keeps the tokens of before
// while the file is wrong.
func TestTokensAreReloaded(t *testing.T) {
	one, oneHash := serve.NewToken()
	two, twoHash := serve.NewToken()
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		next := file + ".next"
		require.NoError(t, os.WriteFile(next, []byte(text), 0o600))
		require.NoError(t, os.Rename(next, file))
	}
	write("a read " + oneHash)
	tokens, err := serve.OpenTokenFile(file, nil)
	require.NoError(t, err)
	knows := func(token string) bool {
		_, err := tokens.Verify(t.Context(), token)
		return err == nil
	}
	require.True(t, knows(one))
	write("nonsense")
	time.Sleep(1100 * time.Millisecond)
	require.True(t, knows(one))
	write("b read " + twoHash)
	require.Eventually(t, func() bool { return knows(two) }, time.Minute, 50*time.Millisecond)
	require.False(t, knows(one))
}

// provider is an OpenID Connect provider.
type provider struct {
	*httptest.Server
	key  *rsa.PrivateKey
	down bool
}

func newProvider(t testing.TB) *provider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p := &provider{key: key}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case p.down:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":"http://x","token_endpoint":"http://x","id_token_signing_alg_values_supported":["RS256"]}`, p.URL, p.URL+"/keys")
		default:
			fmt.Fprintf(w, `{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"1","n":%q,"e":"AQAB"}]}`, base64.RawURLEncoding.EncodeToString(key.N.Bytes()))
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// token signs claims with a key.
func (p *provider) token(t testing.TB, key *rsa.PrivateKey, claims map[string]any) string {
	all := map[string]any{"iss": p.URL, "aud": "nixs3", "sub": "job", "exp": time.Now().Add(time.Hour).Unix(), "repository": "org/repo", "ref": "refs/heads/main"}
	for name, value := range claims {
		all[name] = value
	}
	payload, err := json.Marshal(all)
	require.NoError(t, err)
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestOIDC(t *testing.T) {
	p := newProvider(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	rule, err := serve.ParseOIDC("issuer=" + p.URL + " audience=nixs3 access=read,push claim:repository=org/* claim:ref=refs/heads/main,refs/tags/*")
	require.NoError(t, err)
	c := openCache(t, "file://"+lab.Cache(t, "none"))
	g := newGateway(t, c, serve.Options{Auth: &serve.Auth{Verifiers: []serve.TokenVerifier{rule}}})
	for name, tt := range map[string]struct {
		token  string
		status int
	}{
		"good":               {p.token(t, p.key, nil), 200},
		"another branch":     {p.token(t, p.key, map[string]any{"ref": "refs/heads/evil"}), 401},
		"a tag":              {p.token(t, p.key, map[string]any{"ref": "refs/tags/v1"}), 200},
		"another owner":      {p.token(t, p.key, map[string]any{"repository": "evil/repo"}), 401},
		"a slash too many":   {p.token(t, p.key, map[string]any{"repository": "org/x/y"}), 401},
		"a list":             {p.token(t, p.key, map[string]any{"repository": []string{"x", "org/y"}}), 200},
		"claim missing":      {p.token(t, p.key, map[string]any{"repository": nil}), 401},
		"another audience":   {p.token(t, p.key, map[string]any{"aud": "other"}), 401},
		"expired":            {p.token(t, p.key, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), 401},
		"another issuer":     {p.token(t, p.key, map[string]any{"iss": "https://evil.example"}), 401},
		"signed by others":   {p.token(t, stranger, nil), 401},
		"no signature":       {strings.TrimRight(p.token(t, p.key, nil), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"), 401},
		"not a token at all": {"x.y.z", 401},
	} {
		for _, header := range []string{"Authorization: Bearer " + tt.token, basic("oidc", tt.token)} {
			assert.Equal(t, tt.status, g.get(t, "/nix-cache-info", header).status, name)
		}
	}
	down := newProvider(t)
	down.down = true
	rule, err = serve.ParseOIDC("issuer=" + down.URL + " audience=nixs3 access=read claim:sub=job")
	require.NoError(t, err)
	g = newGateway(t, c, serve.Options{Auth: &serve.Auth{Verifiers: []serve.TokenVerifier{rule}}})
	assert.Equal(t, 503, g.get(t, "/nix-cache-info", "Authorization: Bearer "+down.token(t, down.key, nil)).status)

	for _, text := range []string{
		"", "issuer=x", "issuer=x audience=y access=read", "issuer=x audience=y access=write claim:a=b",
		"issuer=x audience=y access=read claim:a=[", "issuer=x audience=y access=read claim:=b", "issuer=x audience=y access=read color=b", "x",
	} {
		_, err := serve.ParseOIDC(text)
		assert.Error(t, err, text)
	}
}

// authority makes certificates.
func certificate(t testing.TB, name string, parent *tls.Certificate) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: parent == nil,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signer, issuer := crypto.PrivateKey(key), template
	if parent != nil {
		signer, issuer = parent.PrivateKey, parent.Leaf
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func writePEM(t testing.TB, file string, cert tls.Certificate) {
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	require.NoError(t, os.WriteFile(file+".next", text, 0o600))
	require.NoError(t, os.Rename(file+".next", file))
}

// TestTLS reads with client certificates, and after the server's certificate
// has changed.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca, otherCA := certificate(t, "ca", nil), certificate(t, "other", nil)
	writePEM(t, filepath.Join(dir, "ca.pem"), ca)
	writePEM(t, filepath.Join(dir, "cert.pem"), certificate(t, "one", &ca))
	config, err := serve.OpenTLS(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "ca.pem"), nil)
	require.NoError(t, err)
	s, err := serve.New(openCache(t, "file://"+lab.Cache(t, "none")), serve.Options{Auth: &serve.Auth{
		Certificate: func(cert *x509.Certificate) serve.Identity {
			if cert.Subject.CommonName == "reader" {
				return serve.Identity{Name: "reader", Access: serve.AccessRead}
			}
			return serve.Identity{Name: cert.Subject.CommonName}
		},
	}})
	require.NoError(t, err)
	address := run(t, s, serve.RunOptions{TLS: config})
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	ask := func(certs ...tls.Certificate) (status int, server string) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs}}}
		resp, err := client.Get("https://" + address + "/nix-cache-info")
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.TLS.PeerCertificates[0].Subject.CommonName
	}
	status, name := ask()
	assert.Equal(t, 401, status)
	assert.Equal(t, "one", name)
	status, _ = ask(certificate(t, "reader", &ca))
	assert.Equal(t, 200, status)
	status, _ = ask(certificate(t, "other", &ca))
	assert.Equal(t, 403, status)
	status, _ = ask(certificate(t, "reader", &otherCA))
	assert.NotEqual(t, 200, status)
	writePEM(t, filepath.Join(dir, "cert.pem"), certificate(t, "two", &ca))
	require.Eventually(t, func() bool { _, name := ask(); return name == "two" }, time.Minute, 50*time.Millisecond)
}
